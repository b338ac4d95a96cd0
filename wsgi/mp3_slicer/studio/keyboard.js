/**
 * The keys, and the dialog that lists them.
 *
 * Single keys can be turned off (WCAG 2.1.4): speech input would press them by accident.
 */

/** Elements that use keys themselves while they have the focus. */
const FIELDS = 'input:not([type=radio], [type=checkbox]), select, textarea, audio[controls]';
const STORE = 'slicer.keys';

/** Start the keys. `keys` is a list of {keys: [text…], label, act(event), shift?}; a key is a KeyboardEvent.key. */
export function createKeyboard(keys) {
  const help = document.getElementById('help');
  const switch_ = document.getElementById('keys-on');
  const list = document.getElementById('keys');
  for (const { show, keys: names, label } of keys) {
    const term = document.createElement('dt');
    for (const name of show || names) term.append(Object.assign(document.createElement('kbd'), { textContent: name }), ' ');
    list.append(term, Object.assign(document.createElement('dd'), { textContent: label }));
  }
  const remembered = attempt(() => localStorage.getItem(STORE));
  switch_.checked = remembered !== 'off';
  switch_.addEventListener('change', () => attempt(() => localStorage.setItem(STORE, switch_.checked ? 'on' : 'off')));
  document.getElementById('help-open').addEventListener('click', () => help.showModal());

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || help.open) return;
    if (!switch_.checked) return;
    if (event.target.closest?.(FIELDS)) return;
    // Space presses a button or ticks a box that has the focus, and arrows choose among radio buttons.
    if (event.key === ' ' && event.target.closest?.('button, input')) return;
    if (event.key.startsWith('Arrow') && event.target.closest?.('input')) return;
    const found = keys.find((one) => one.keys.includes(event.key) && (one.shift === undefined || one.shift === event.shiftKey));
    if (!found) return;
    event.preventDefault();
    found.act(event);
  });
}

function attempt(work) {
  try {
    return work();
  } catch {
    // The browser has no storage for this page.
    return null;
  }
}
