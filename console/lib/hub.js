/**
 * The connections to the hub. They come back by themselves; what was subscribed to and served is asked for again.
 * @module
 */

import { Value } from './value.js';

/** @typedef {import('../../clients/js/src/gotalk.js').Sock} Sock */
/** @typedef {import('../../clients/js/src/gotalk.js').WhoAmI} WhoAmI */
/** @typedef {import('../../clients/js/src/gotalk.js').Published} Published */
/** @typedef {import('../../clients/js/src/sock.js').State} State */

/** What `/gotalk/gotalk.js` defines. @type {typeof import('../../clients/js/src/gotalk.js').default} */
const gotalk = /** @type {any} */ (globalThis).gotalk;

/** Calls, chat, and what the overview shows. */
export const sock = gotalk.connection(null, new gotalk.Handlers());

/** @type {Value<State>} */
export const state = new Value(sock.state);

/** Who this tab is at the hub, of each of its connections; empty while there is none. @type {Value<WhoAmI[]>} */
export const me = new Value(/** @type {WhoAmI[]} */ ([]));

sock.on('state', (/** @type {State} */ now) => state.set(now));
introduce(sock);

/** @type {Sock | undefined} */
let watching;

/**
 * The connection for watching topics, made when it is first asked for. It is one of its own, so that a topic that brings
 * more than can be shown holds up nothing else.
 * @param {(topic: string, bytes: Uint8Array) => void} listener
 */
export function watcher(listener) {
  if (!watching) {
    const handlers = new gotalk.Handlers();
    handlers.handleBufferNotification('', (bytes, topic) => listener(topic, bytes));
    watching = gotalk.connection(null, handlers);
    introduce(watching);
  }
  return watching.hub;
}

/**
 * Keeps `me` true.
 * @param {Sock} sock
 */
function introduce(sock) {
  /** @type {WhoAmI | null} */
  let known = null;
  const become = (/** @type {WhoAmI | null} */ who) => {
    const others = me.get().filter((other) => other !== known);
    known = who;
    me.set(who ? [...others, who] : others);
  };
  sock.on('open', async () => become(await sock.hub.whoami().catch(() => null)));
  sock.on('close', () => become(null));
}
