// A file is handed to the server as it is, which tells from its bytes what it holds; a large one is refused here.
element.addEventListener('change', async event => {
  const [file] = event.target.files;
  if (!file) return;
  const {name, size} = file;
  let content = '';
  if (size <= props.limit) {
    for (const byte of new Uint8Array(await file.arrayBuffer())) content += String.fromCharCode(byte);
    content = btoa(content);
  }
  event.target.value = '';  // so that the same file can be opened again
  props.value = {name, size, content};
  trigger('input');
});
