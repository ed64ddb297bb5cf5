// Screen readers say aloud what is written here.
element.setAttribute('role', 'status');
