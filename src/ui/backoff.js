/**
 * When to try again, and what a Close means for it. Plain arithmetic and a table, so that both can be tested without
 * a network.
 */

/**
 * @typedef {'forbidden' | 'missing' | 'unreadable' | 'removed' | 'slow' | 'crowded' | 'shutdown' | 'idle' | 'asleep'
 *   | 'silent' | 'lost'} Why
 * @typedef {{ why: Why, retry: 'never' | 'look' | 'growing' }} Ending
 */

const SHORTEST = 500;
const LONGEST = 15_000;

/** A file that is not there is looked for at a steady pace. */
export const LOOK_AGAIN = 5_000;

/** A connection that lived so long has proved that the server is well. */
export const PROVED_AFTER = 10_000;

/**
 * @param {number} attempt 0 for the first one after a loss
 * @param {() => number} [random] spreads the viewers of a restarted server
 * @returns {number} milliseconds
 */
export function delayFor(attempt, random = Math.random) {
  const full = Math.min(LONGEST, SHORTEST * 2 ** Math.min(attempt, 10));
  return Math.round(full * (0.75 + random() * 0.25));
}

/** @type {Record<string, Ending>} */
const ENDINGS = {
  '1008 file not allowed': { why: 'forbidden', retry: 'never' },
  '4404 file not found': { why: 'missing', retry: 'look' },
  '1011 file not readable': { why: 'unreadable', retry: 'growing' },
  '4410 file removed': { why: 'removed', retry: 'look' },
  '1013 too slow': { why: 'slow', retry: 'growing' },
  '1013 too many connections': { why: 'crowded', retry: 'growing' },
  '1001 shutting down': { why: 'shutdown', retry: 'growing' },
  '1001 idle': { why: 'idle', retry: 'growing' },
};

/**
 * @param {number} code
 * @param {string} reason
 * @returns {Ending}
 */
export function endingOf(code, reason) {
  return ENDINGS[`${code} ${reason}`] ?? { why: 'lost', retry: code === 1008 ? 'never' : 'growing' };
}
