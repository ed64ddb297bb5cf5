// The link works by itself, on a phone for one, where the tab may be in a menu; else what was typed stays.
element.addEventListener('click', event => {
  const tab = document.getElementById('learn-tab-button');
  if (!event.target.closest('a') || !tab) return;
  event.preventDefault();
  tab.click();
});
