/**
 * The keyboard. One table, so that the help and the page cannot disagree, and one rule: what belongs to the browser,
 * to a field or to a focused button is left alone.
 */

/** What the help lists: the keys, and the name of the text beside them. */
export const KEYS = [
  { keys: ['Space'], text: 'keySpace' },
  { keys: ['g', 'G'], text: 'keyTop' },
  { keys: ['j', 'k'], text: 'keyLines' },
  { keys: ['f', 'F'], text: 'keyFiles' },
  { keys: ['/'], text: 'keyFilter' },
  { keys: ['Esc'], text: 'keyEscape' },
  { keys: ['?'], text: 'keyHelp' },
];

/** @param {Element} element */
const takesText = (element) => element.matches('input, textarea, select, [contenteditable]');

/** @param {Element} element */
const takesSpace = (element) => element.matches('button, a[href], summary, [role=listbox]');

/**
 * @param {Record<string, () => void>} actions by `KeyboardEvent.key`
 */
export function listenForKeys(actions) {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = /** @type {Element} */ (event.target);
    if (takesText(target) || target.closest('dialog')) return;
    if (event.key === ' ' && takesSpace(target)) return;
    // The log scrolls by itself while it has the focus.
    if (target.getAttribute('role') === 'log' && /^(Page|Arrow)/.test(event.key)) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
