/**
 * What is served and who is here. The hub announces neither, so it is asked, as long as somebody looks.
 * @module
 */

import { sock, state } from './hub.js';
import { Value } from './value.js';

/**
 * @typedef {{ op: string, responders: number, calls: number, in_flight: number }} Operation
 * @typedef {{ id: number, door: string, account: string, address: string, client?: string, since_unix_ms: number,
 *   serves: number, subscriptions: number }} Session
 * @typedef {{ operations: Operation[], sessions: Session[], stats: Record<string, number>, at: number,
 *   more: { operations: boolean, sessions: boolean } }} Directory `at`: milliseconds, of `performance.now()`;
 *   `more`: whether there are more than are listed
 */

/** Between the end of one round of questions and the next, in milliseconds. */
const INTERVAL_MS = 2000;

/** Pages that are asked for of one list, of up to 1,000 entries each: more can't be looked through. */
const PAGES_MAX = 2;

/** A round that takes longer is given up, in milliseconds. */
const TIMEOUT_MS = 10_000;

/** @type {Value<Directory | null>} */
export const directory = new Value(/** @type {Directory | null} */ (null));

/** How many look. */
let wanted = 0;
let asking = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

state.watch(next);
document.addEventListener('visibilitychange', next);

/** Somebody looks, until {@link leave}. */
export function look() {
  wanted++;
  next();
}

/** Somebody looks no more. */
export function leave() {
  wanted--;
}

/** Asks at once, if it makes sense. */
function next() {
  clearTimeout(timer);
  if (asking || !wanted || document.hidden || state.get() !== 'open') return;
  asking = true;
  void ask().finally(() => {
    asking = false;
    timer = setTimeout(next, INTERVAL_MS);
  });
}

async function ask() {
  try {
    const [operations, sessions, stats] = await Promise.all([
      pages('hub.ops', 'ops'),
      pages('hub.sessions', 'sessions'),
      sock.request('hub.stats', {}, { timeout: TIMEOUT_MS }),
    ]);
    directory.set({
      operations: operations.entries,
      sessions: sessions.entries,
      stats,
      at: performance.now(),
      more: { operations: operations.more, sessions: sessions.more },
    });
  } catch {
    // The connection is gone, which is shown elsewhere, or the hub is busy: the next round will do.
  }
}

/**
 * @param {string} op
 * @param {string} field of the answer that holds the entries
 * @returns {Promise<{ entries: any[], more: boolean }>}
 */
async function pages(op, field) {
  const entries = [];
  let after;
  for (let page = 0; page < PAGES_MAX; page++) {
    const answer = await sock.request(op, after === undefined ? {} : { after }, { timeout: TIMEOUT_MS });
    entries.push(...answer[field]);
    after = answer.next;
    if (after === undefined) break;
  }
  return { entries, more: after !== undefined };
}
