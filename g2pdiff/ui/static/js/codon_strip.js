// The strip scrolls in its own box; the chart above it shows all codons, marks those in view, and takes there.
const find = selector => element.querySelector(selector);
const cells = () => element.querySelectorAll('.bases-codons li');
const mark = () => {
  const strip = find('.bases-strip'), view = find('.bases-view');
  if (!strip) return;
  view.style.left = 100 * strip.scrollLeft / strip.scrollWidth + '%';
  view.style.width = 100 * strip.clientWidth / strip.scrollWidth + '%';
};
const show = cell => {
  const strip = find('.bases-strip');
  strip.scrollLeft = cell.offsetLeft - (strip.clientWidth - cell.offsetWidth) / 2;
};
const say = (cell, letter) => {
  const place = letter && `Site ${letter.dataset.site} is ${letter.textContent}, the ` +
    ['first', 'second', 'third'][[...letter.parentNode.children].indexOf(letter)] + ' base of c';
  find('.bases-said').textContent = (place || 'C') + cell.getAttribute('aria-label').slice(1);
};
const under = event => {  // the codon under the pointer, in the chart
  const chart = event.target.closest('.bases-chart');
  if (!chart) return null;
  const box = chart.getBoundingClientRect(), all = cells();
  const index = Math.floor((event.clientX - box.left) / box.width * all.length);
  return all[Math.min(Math.max(index, 0), all.length - 1)];
};
element.addEventListener('pointermove', event => {
  const cell = event.target.closest('.bases-codons li');
  const charted = under(event);
  if (cell) say(cell, event.target.closest('[data-site]'));
  if (charted) say(charted);
  if (charted && event.buttons) show(charted);
});
element.addEventListener('click', event => {
  const charted = under(event), cell = event.target.closest('.bases-codons li');
  if (charted) { show(charted); say(charted); }
  if (cell) {
    const letter = event.target.closest('[data-site]') || cell.querySelectorAll('[data-site]')[1];
    trigger('pick', {site: letter.dataset.site});
  }
});
element.addEventListener('scroll', mark, true);
new ResizeObserver(mark).observe(element);
const start = () => {
  const most = find('.bases-codons .most');
  if (most) { show(most); say(most); mark(); }
};
watch('value', start);
start();
