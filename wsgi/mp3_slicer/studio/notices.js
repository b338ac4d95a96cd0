/**
 * Messages above the page: what went wrong, in words, and what to do. They are read out (role=alert) and can be closed.
 */

const box = document.getElementById('notices');

/** Show a message. One with the same key takes the place of the one before. */
export function notice(key, text, { action, onAction } = {}) {
  dismiss(key);
  const line = document.createElement('div');
  line.className = 'notice error';
  line.dataset.key = key;
  const words = document.createElement('p');
  words.textContent = text;
  line.append(words);
  if (action) line.append(button(action, () => { dismiss(key); onAction(); }));
  line.append(button('Close', () => dismiss(key)));
  box.append(line);
}

/** Take a message away. */
export function dismiss(key) {
  for (const line of [...box.children]) if (line.dataset.key === key) line.remove();
}

function button(text, act) {
  const made = document.createElement('button');
  made.type = 'button';
  made.textContent = text;
  made.addEventListener('click', act);
  return made;
}
