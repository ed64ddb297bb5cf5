// The slider shows another step of the run from what the page already has.
element.addEventListener('input', event => {
  const box = event.target.closest('.replay');
  const frame = JSON.parse(box.dataset.frames)[event.target.value];
  for (const name of ['seen', 'guessed']) box.querySelector('.' + name).src = frame[name];
  box.querySelector('.replay-said').textContent = frame.said;
  event.target.setAttribute('aria-valuetext', frame.said);
});
