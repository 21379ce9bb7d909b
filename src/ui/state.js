/** The words for how a pane is: of its connection, and of a log in which there is nothing to see. */

import { t } from './texts.js';

/** @typedef {import('./socket.js').State} State */

/** What an empty log says while waiting, where it is not just the server that can't be reached. @type {Record<string, string>} */
const EMPTY_WAITING = { missing: 'emptyMissing', removed: 'emptyMissing', unreadable: 'emptyUnreadable', crowded: 'emptyCrowded' };

/** And what comes of it, where the page does not just go on trying. @type {Record<string, string>} */
const EMPTY_MORE = {
  emptyConnecting: '',
  emptyLive: 'emptyLiveMore',
  emptyFilter: 'emptyFilterMore',
  emptyForbidden: 'emptyForbiddenMore',
  emptyMissing: 'emptyMissingMore',
};

/**
 * @param {State} state
 * @param {boolean} following
 * @param {number | null} now to count down to the next try; null for ears, which are not counted to
 */
export function stateText(state, following, now) {
  if (state.phase === 'live') return t(following ? 'live' : 'paused');
  if (state.phase === 'connecting' || state.phase === 'catching') return t(state.phase);
  const why = t(`why${state.why[0].toUpperCase()}${state.why.slice(1)}`);
  if (state.phase === 'stopped') return `${t('stopped')} · ${why}`;
  if (now === null) return `${why}. ${t('reconnecting')}`;
  const left = Math.max(0, Math.ceil((state.until - now) / 1000));
  return `${t(state.looking ? 'looking' : 'waiting', { n: left })} · ${why}`;
}

/**
 * @param {State} state
 * @param {{ file: string, filtered: boolean, term: string }} what `filtered`: there are lines, and a filter lets none pass
 * @returns {{ text: string, more: string }}
 */
export function emptyText(state, { file, filtered, term }) {
  let name = 'emptyLive';
  if (filtered) name = 'emptyFilter';
  else if (state.phase === 'connecting' || state.phase === 'catching') name = 'emptyConnecting';
  else if (state.phase === 'stopped') name = 'emptyForbidden';
  else if (state.phase === 'waiting') name = EMPTY_WAITING[state.why] ?? 'emptyWaiting';
  const more = EMPTY_MORE[name] ?? 'emptyWaitingMore';
  return { text: t(name, { file, term }), more: more && t(more) };
}
