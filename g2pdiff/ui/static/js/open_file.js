// A file is read in the browser: what is wrong with it is said at once, and no copy stays on the server.
element.addEventListener('change', async event => {
  const [file] = event.target.files;
  if (!file) return;
  let text = null, wrong = '';
  if (file.size > props.limit) {
    wrong = `The file has ${file.size.toLocaleString('en')} bytes: split it into files of up to ` +
      `${props.limit.toLocaleString('en')}.`;
  } else {
    try { text = new TextDecoder('utf-8', {fatal: true}).decode(await file.arrayBuffer()); }
    catch { wrong = 'The file is not plain text in UTF-8: save it as a FASTA text file.'; }
  }
  event.target.value = '';  // so that the same file can be opened again
  props.value = {text, wrong};
  trigger('input');
});
