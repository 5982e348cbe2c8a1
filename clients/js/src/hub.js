/**
 * A Switchboard hub at the other end of a connection.
 *
 * What is wanted of it is remembered, and asked for again whenever the connection comes back.
 * @module
 */

import { textOf, toBytes } from './bytes.js';
import { CallError, guarded } from './errors.js';
import { matches } from './filter.js';

/**
 * @typedef {object} Login
 * @property {string} account
 * @property {string} [password]
 * @property {string} [token] instead of the password
 *
 * @typedef {{ session: number, account: string, door: string, address: string, client?: string }} WhoAmI
 *
 * @typedef {'block' | 'drop-oldest' | 'latest' | 'disconnect'} Policy what the hub does when this side is too slow
 *
 * @callback TopicHandler
 * @param {Published} message
 * @returns {any}
 */

/**
 * Something that is asked for again when the connection comes back.
 * @typedef {object} Wish
 * @property {string} op
 * @property {string[]} names
 * @property {object} more of its request
 * @property {TopicHandler | null} [handler]
 * @property {boolean} [granted]
 */

/** A message that was published. */
export class Published {
  /**
   * @param {string} topic
   * @param {Uint8Array} bytes
   */
  constructor(topic, bytes) {
    this.topic = topic;
    this.bytes = bytes;
  }

  text() {
    return textOf(this.bytes);
  }

  /** @returns {any} */
  json() {
    return JSON.parse(this.text());
  }
}

/** @typedef {ReturnType<typeof createHub>} Hub */

/** @param {import('./sock.js').Sock} sock */
export const createHub = (sock) => {
  /** @type {Login | null} */
  let known = null;
  /** @type {Wish[]} */
  let wishes = [];

  /**
   * Asks for something that may be asked for twice: again when the connection is lost, and comes back.
   * @param {string} op
   * @param {object} value
   * @returns {Promise<any>}
   */
  const ask = async (op, value) => {
    for (;;) {
      try {
        return await sock.request(op, value);
      } catch (error) {
        if (!(error instanceof CallError && error.closed && sock.keepalive)) throw error;
      }
    }
  };

  /**
   * @param {string} op
   * @param {string[]} names
   */
  const forget = (op, names) => {
    for (const wish of wishes) {
      if (fieldOf(wish.op) == fieldOf(op)) wish.names = wish.names.filter((name) => !names.includes(name));
    }
    wishes = wishes.filter((wish) => wish.names.length);
  };

  /** @param {Wish} wish */
  const want = async (wish) => {
    // Each handler of a topic is called; all else is wanted once.
    if (!wish.handler) forget(wish.op, wish.names);
    // The first messages may come right behind the answer.
    wishes.push(wish);
    try {
      await ask(wish.op, valueOf(wish));
      wish.granted = true;
    } catch (error) {
      wish.names = [];
      throw error;
    }
  };

  /**
   * @param {string} op
   * @param {string[]} names
   */
  const drop = async (op, names) => {
    forget(op, names);
    await ask(op, { [fieldOf(op)]: names });
  };

  return {
    /**
     * Goes on as another account.
     * @param {Login} login
     * @returns {Promise<WhoAmI>}
     */
    async login(login) {
      const who = await ask('hub.login', login);
      known = login;
      return who;
    },

    /** @returns {Promise<WhoAmI>} */
    whoami: () => ask('hub.whoami', {}),

    /**
     * Answers operations for everybody at the hub.
     * @param {string | string[] | Record<string, import('./handlers.js').RequestHandler>} ops names, whose handlers are
     *   registered elsewhere; or handlers by name, which answer by what they return. At most 1,024
     * @param {{ caller?: boolean, safe?: boolean, resultType?: string }} [options] `caller`: whether handlers are told
     *   who calls, and until when; `safe`: calls change nothing, so that GET over HTTP may make them; `resultType`: what
     *   the results are, as a media type, for those who call over HTTP
     * @returns {Promise<void>}
     */
    serve(ops, { caller, safe, resultType } = {}) {
      const names = namesOf(ops);
      for (const name of names) {
        const handler = Object.hasOwn(Object(ops), name) && /** @type {any} */ (ops)[name];
        if (typeof handler == 'function') sock.handlers.serve(name, handler);
        // The first requests may come right behind the answer.
        sock._described[caller ? 'add' : 'delete'](name);
      }
      return want({ op: 'hub.serve', names, more: { caller, safe, result_type: resultType } });
    },

    /** @param {string | string[]} ops takes no more calls of these */
    unserve: (ops) => drop('hub.unserve', namesOf(ops)),

    /**
     * Gets what is published from now on, and what is retained.
     * @param {string | string[]} topics or filters: `+` stands for one level, `#` for the rest. At most 1,024
     * @param {TopicHandler | null} [handler] without one, messages come as notifications
     * @param {{ policy?: Policy }} [options]
     * @returns {Promise<void>}
     */
    subscribe: (topics, handler, { policy } = {}) =>
      want({ op: 'hub.subscribe', names: namesOf(topics), more: { policy }, handler }),

    /** @param {string | string[]} topics as they were subscribed to */
    unsubscribe: (topics) => drop('hub.unsubscribe', namesOf(topics)),

    /**
     * Publishes, and waits until the hub has taken it. `sock.notify(topic, value)` does not wait, and is cheaper.
     * @param {string} topic
     * @param {any} payload text and bytes as they are, anything else as JSON
     * @param {{ retain?: boolean, expires?: number }} [options] `retain`: it stays as the topic's last value;
     *   `expires`: for how many seconds it is of use
     * @returns {Promise<{ subscriptions: number }>} how many subscriptions have it
     */
    publish: (topic, payload, { retain, expires } = {}) =>
      sock.request('hub.publish', { topic, ...payloadOf(payload), retain, expires_s: expires }),

    /**
     * Calls an operation at the hub, as `sock.request` does.
     * @param {string} op
     * @param {any} [value]
     * @param {import('./limit.js').CallOptions} [options]
     * @returns {Promise<any>}
     */
    call: (op, value, options) => sock.request(op, value, options),

    /**
     * @param {string} topic
     * @param {Uint8Array} bytes
     * @returns {boolean} whether somebody wants it
     * @internal
     */
    _deliver(topic, bytes) {
      const wanted = wishes.filter((wish) => wish.handler && wish.names.some((filter) => matches(filter, topic)));
      for (const { handler } of wanted) guarded(() => handler?.(new Published(topic, bytes)));
      return wanted.length > 0;
    },

    /**
     * Asks for everything again.
     * @param {(op: string, value: object) => Promise<unknown>} again
     * @internal
     */
    async _restore(again) {
      if (known) await again('hub.login', known);
      await Promise.all(wishes.map((wish) => wish.granted && again(wish.op, valueOf(wish))));
    },
  };
};

/**
 * @param {Wish} wish
 * @returns {object} its request
 */
const valueOf = ({ op, names, more }) => ({ [fieldOf(op)]: names, ...more });

/** @param {string} op @returns {string} what its names are called */
const fieldOf = (op) => (op.endsWith('serve') ? 'ops' : 'topics');

/**
 * @param {string | string[] | object} names
 * @returns {string[]}
 */
const namesOf = (names) =>
  typeof names == 'string' ? [names] : Array.isArray(names) ? names : Object.keys(names);

/**
 * @param {any} payload
 * @returns {{ payload?: string, payload_base64?: string }}
 */
const payloadOf = (payload) => {
  if (payload == null || typeof payload == 'string') return { payload };
  if (!(payload.byteLength >= 0)) return { payload: JSON.stringify(payload) };
  let text = '';
  for (const byte of toBytes(payload)) text += String.fromCharCode(byte);
  return { payload_base64: btoa(text) };
};
