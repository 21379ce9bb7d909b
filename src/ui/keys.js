/**
 * The keyboard. One table, so that the help and the page cannot disagree, and one rule: what belongs to the browser,
 * to a field or to a focused button is left alone.
 */

/** What the help lists: the keys, and the name of the text beside them. */
export const KEYS = [
  { keys: ['j', 'k'], text: 'keyLines' },
  { keys: ['g', 'G'], text: 'keyTop' },
  { keys: ['Space'], text: 'keySpace' },
  { keys: ['/'], text: 'keyFind' },
  { keys: ['n', 'N'], text: 'keyHits' },
  { keys: ['e', 'E'], text: 'keyErrors' },
  { keys: ['w', 'W'], text: 'keyWarnings' },
  { keys: ['f', 'F'], text: 'keyFiles' },
  { keys: ['m'], text: 'keyMark' },
  { keys: ['c'], text: 'keyCopy' },
  { keys: ['[', ']'], text: 'keyPanes' },
  { keys: ['l'], text: 'keyWrap' },
  { keys: ['t'], text: 'keyTimes' },
  { keys: ['Enter'], text: 'keyEnter' },
  { keys: ['Esc'], text: 'keyEscape' },
  { keys: ['?'], text: 'keyHelp' },
];

/** @param {Element} element */
const takesText = (element) => element.matches('input, textarea, select, [contenteditable]');

/** @param {Element} element */
const takesPress = (element) => element.matches('button, a[href], summary, [role=listbox], [role=separator]');

/**
 * @param {Record<string, () => void>} actions by `KeyboardEvent.key`
 */
export function listenForKeys(actions) {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = /** @type {Element} */ (event.target);
    if (takesText(target) || target.closest('dialog, [role=menu]')) return;
    if ((event.key === ' ' || event.key === 'Enter') && takesPress(target)) return;
    // The log scrolls by itself while it has the focus.
    if (target.getAttribute('role') === 'log' && /^(Page|Arrow)/.test(event.key)) return;
    if (target.getAttribute('role') === 'separator' && /^Arrow/.test(event.key)) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
