/**
 * The requests of this side that are not answered, and what waits for a connection, over all connections of a `Sock`.
 * @module
 */

import { restMs } from './back_off.js';
import { hex, textOf } from './bytes.js';
import { CallError, closedError } from './errors.js';
import { limit } from './limit.js';
import { moment, outgoing } from './outbox.js';
import { CANCEL } from './protocol.js';
import { collect } from './receiver.js';

/** @typedef {import('./receiver.js').Receiver} Receiver */
/** @typedef {import('./connection.js').Connection} Connection */

/**
 * @typedef {object} Call
 * @property {string} id
 * @property {Receiver} receiver of the answer
 * @property {boolean} unended whether its own stream has not ended
 * @property {Connection | null} carrier over which it was sent; null while it waits for one
 */

/** Digits of the ids, and how many ids of each kind there are: four digits, or `!` and three. */
const BASE = 36;
const SINGLE_IDS = BASE ** 4;
const STREAM_IDS = BASE ** 3;

/** Most requests that are not answered. */
const CALLS_MAX = 10_000;

/** The least rest before a request is made again, in milliseconds; it doubles with each. */
const REST_MS = 50;

/** @typedef {ReturnType<typeof createCalls>} Calls */

/** @param {import('./sock.js').Sock} sock */
export const createCalls = (sock) => {
  /** @type {Map<string, Call>} */
  const calls = new Map();
  let singles = 0;
  let streams = 0;
  /** @type {Array<{ message: import('./outbox.js').Outgoing, call: Call | null }>} */
  let queue = [];
  /** The connection, while it is open. @type {Connection | null} */
  let open = null;

  const self = {
    /** Whether nothing is asked, and nothing waits. */
    isIdle: () => !calls.size && !queue.length,

    // ---- sending

    /**
     * Sends a message, or lets it wait for the connection.
     * @param {string} t
     * @param {string} id
     * @param {string | null} name
     * @param {string} fields
     * @param {unknown} data
     * @param {Call | null} [call] that it belongs to
     * @throws {Error} if it cannot be sent
     */
    send(t, id, name, fields, data, call = null) {
      const message = outgoing(t, id, name, fields, data, sock.payloadLimit);
      const to = call?.carrier ?? (sock.state == 'open' ? open : null);
      if (to) {
        to.push(message);
        if (call) call.carrier = to;
      } else if (sock.state == 'closed' || sock.state == 'ending') {
        throw closedError();
      } else if (queue.length >= sock.sendBufferLimit) {
        throw new CallError('send buffer full', { retry: true });
      } else {
        queue.push({ message, call });
      }
    },

    /** @param {Connection} connection over which what waits can go */
    flush(connection) {
      open = connection;
      for (const { message, call } of queue) {
        connection.push(message);
        if (call) call.carrier = connection;
      }
      queue = [];
    },

    /**
     * Fails the calls that were sent over a connection.
     * @param {Connection | null} connection that is gone; null for none: then nothing waits any more
     */
    lost(connection) {
      open = null;
      if (!connection) queue = [];
      for (const call of calls.values()) if (call.carrier == connection) self.finish(call, closedError());
    },

    /** @returns {Promise<void>} settled when there is room for more */
    async room() {
      while (queue.length) await moment();
      await open?.room();
    },

    // ---- one call

    /**
     * Enters a call.
     * @param {boolean} stream
     * @param {Receiver} receiver
     * @returns {Call}
     * @throws {CallError} if too many are in flight
     */
    begin(stream, receiver) {
      if (calls.size >= CALLS_MAX) throw new CallError('too many calls', { retry: true });
      let id;
      do {
        id = stream
          ? '!' + (streams++ % STREAM_IDS).toString(BASE).padStart(3, '0')
          : (singles++ % SINGLE_IDS).toString(BASE).padStart(4, '0');
      } while (calls.has(id));
      const call = { id, receiver, unended: stream, carrier: null };
      calls.set(id, call);
      return call;
    },

    /**
     * @param {Call | undefined} call
     * @returns {boolean} whether it is not over
     */
    has: (call) => !!call && calls.get(call.id) == call,

    /**
     * A call with a single payload.
     * @param {string} op
     * @param {unknown} data
     * @param {Receiver} receiver
     * @param {Connection | null} [past] whatever waits, over this connection
     */
    single(op, data, receiver, past = null) {
      const call = self.begin(false, receiver);
      call.carrier = past;
      try {
        self.send('r', call.id, op, '', data, call);
      } catch (error) {
        self.finish(call, error);
      }
      return call;
    },

    /** @param {Call} call whose own stream is to end */
    endBody(call) {
      call.unended = false;
      self.send('p', call.id, null, '', '', call);
    },

    /**
     * An answer, or a part of one. An id that is not known is a call that was given up.
     * @param {import('./decoder.js').Message} message
     */
    answered({ t, id, wait, payload }) {
      const call = calls.get(id);
      if (!call?.carrier) return;
      const failed = t == 'E' || t == 'e';
      if (payload.length && !failed) call.receiver.part(payload);
      if (t != 'S' || !payload.length) {
        self.finish(call, failed ? new CallError(textOf(payload), { retry: t == 'e', waitMs: wait }) : null);
      }
    },

    /**
     * @param {Call} call
     * @param {unknown} error null if it went well
     */
    finish(call, error) {
      if (!self.has(call)) return;
      calls.delete(call.id);
      call.receiver.end(error);
      call.carrier?.settle();
    },

    /**
     * This side waits for the answer no more.
     * @param {Call} call
     * @param {unknown} reason
     */
    abandon(call, reason) {
      if (!self.has(call)) return;
      const { id, carrier } = call;
      queue = queue.filter((waiting) => waiting.call != call);
      if (carrier?.knowsCancel) {
        carrier.send('n', '', CANCEL, '', id.replace(/./gs, (char) => hex(char.charCodeAt(0), 2)));
      }
      if (carrier && call.unended) self.endBody(call);
      self.finish(call, reason);
    },

    /**
     * A whole answer, within the limits that the options set.
     * @param {string} op
     * @param {unknown} data
     * @param {import('./limit.js').CallOptions} options
     * @param {Connection} [past] whatever waits, over this connection
     * @returns {Promise<Uint8Array>}
     */
    whole: (op, data, options, past) =>
      new Promise((resolve, reject) => {
        const { retries = sock.retries, retryTime = sock.retryTime } = options;
        const until = Date.now() + retryTime;
        let made = 0;
        /** @type {Call} */
        let call;
        /** @type {ReturnType<typeof setTimeout> | undefined} */
        let rest;
        options.signal?.throwIfAborted();
        const fail = (/** @type {unknown} */ error) => {
          done();
          clearTimeout(rest);
          reject(error);
        };
        const done = limit(options, (reason) => {
          self.abandon(call, reason);
          fail(reason);
        });
        const succeed = (/** @type {Uint8Array} */ bytes) => {
          done();
          resolve(bytes);
        };
        const failed = (/** @type {any} */ error) => {
          const ms = Math.max(error.waitMs, restMs(REST_MS, made));
          const again = error.retry && !error.closed && made++ < retries && Date.now() + ms <= until;
          if (again) rest = setTimeout(attempt, ms);
          else fail(error);
        };
        const attempt = () => {
          try {
            call = self.single(op, data, collect(sock.payloadLimit, succeed, failed), past);
          } catch (error) {
            failed(error);
          }
        };
        attempt();
      }),
  };
  return self;
};
