/** What the reader's hand does over a log: turning the wheel, pushing with a finger, pressing keys and buttons. */

const UPWARD_KEYS = new Set(['ArrowUp', 'PageUp', 'Home']);

/**
 * @param {HTMLElement} scroller
 * @param {{ onUp(pixels: number): void, onUpKey(): void, onPress(pressed: boolean): void }} calls `onUp` gets less than
 *   nothing for a way down; `onPress` tells of a mouse button that is held on the rows
 */
export function watchHand(scroller, { onUp, onUpKey, onPress }) {
  scroller.addEventListener('wheel', (event) => !event.ctrlKey && onUp(-event.deltaY), { passive: true });
  let touch = 0;
  scroller.addEventListener('touchstart', (event) => (touch = event.touches[0].clientY), { passive: true });
  scroller.addEventListener(
    'touchmove',
    (event) => {
      onUp(event.touches[0].clientY - touch);
      touch = event.touches[0].clientY;
    },
    { passive: true },
  );
  scroller.addEventListener('keydown', (event) => {
    if (UPWARD_KEYS.has(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey) onUpKey();
  });
  // Rows stand still under a pressed button, or nobody could begin a selection in a busy log.
  scroller.addEventListener('pointerdown', (event) => {
    const onScrollBar = event.offsetX >= scroller.clientWidth || event.offsetY >= scroller.clientHeight;
    onPress(event.pointerType === 'mouse' && !(event.target === scroller && onScrollBar));
  });
  for (const type of ['pointerup', 'pointercancel', 'blur']) addEventListener(type, () => onPress(false));
}
