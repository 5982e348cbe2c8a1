/**
 * The requests of the other side of one connection: within bounds, to the handlers.
 * @module
 */

import { createAnswer } from './answer.js';
import { EMPTY, textOf } from './bytes.js';
import { CallError, ErrInvalidMsg, closedError } from './errors.js';
import { find } from './handlers.js';
import { Parts } from './parts.js';
import { collect } from './receiver.js';

/** The least wait that a refused request is told, in milliseconds; it is drawn, so that not all come back at once. */
const WAIT_MS_MIN = 500;
const WAIT_MS_SPAN = 4500;

/** Streams whose parts are still thrown away; a peer that never ends so many breaks the protocol. */
const DISCARDED_MAX = 10_000;

/** @typedef {import('./answer.js').Answer} Answer */
/** @typedef {import('./decoder.js').Message} Message */

/**
 * @param {import('./sock.js').Sock} sock
 * @param {import('./connection.js').Connection} connection
 */
export const createServing = (sock, connection) => {
  /** What is not answered. @type {Set<Answer>} */
  const open = new Set();
  let openStreams = 0;
  /** Streams that have not ended, by id; null is thrown away. @type {Map<string, import('./receiver.js').Receiver | null>} */
  const bodies = new Map();

  /**
   * @param {boolean} stream
   * @returns {CallError | string | false}
   */
  const refusal = (stream) => {
    const { ending } = connection;
    if (stream && !sock.streamLimit) return 'stream requests not supported';
    const busy = open.size >= sock.requestLimit || (stream && openStreams >= sock.streamLimit);
    const waitMs = WAIT_MS_MIN + Math.random() * WAIT_MS_SPAN;
    // As other gotalk peers word it.
    return (ending || busy) && new CallError(ending ? 'shutting down' : 'request rate limit', { retry: true, waitMs });
  };

  /**
   * @param {import('./handlers.js').Entry} entry
   * @param {Answer} answer
   * @param {Uint8Array | Parts<Uint8Array>} params
   */
  const handle = async ({ kind, handler, takes }, answer, params) => {
    /** @type {any} */
    let given = params;
    if (kind == 'json') {
      try {
        given = given.length ? JSON.parse(textOf(given)) : null;
      } catch (error) {
        return answer.fail(`no JSON: ${error}`);
      }
    }
    /** @type {any} */
    let value;
    try {
      value = handler(given, answer.result, answer.result.op);
    } catch (error) {
      return answer.failed(error, takes > 1);
    }
    const late = typeof value?.then == 'function';
    try {
      if (late) value = await value;
      if (value?.[Symbol.asyncIterator]) {
        for await (const part of value) {
          if (answer.isDone()) return;
          await answer.result.write(part);
        }
        answer.result.end();
      } else if (value === undefined ? takes == 1 || (late && !takes) : late || takes < 2) answer.result(value);
    } catch (error) {
      answer.failed(error);
    }
  };

  /**
   * @param {import('./handlers.js').Entry} entry
   * @param {Answer} answer
   * @returns {import('./receiver.js').Receiver}
   */
  const receive = (entry, answer) => {
    if (entry.kind != 'stream') {
      return collect(sock.payloadLimit, (bytes) => void handle(entry, answer, bytes), answer.fail);
    }
    const { id } = answer;
    const parts = new Parts(connection.weigh, () => bodies.has(id) && bodies.set(id, null));
    queueMicrotask(() => handle(entry, answer, parts));
    return { part: (part) => parts._push(part), end: (error) => parts._end(error) };
  };

  return {
    isIdle: () => !open.size,

    /** The share of the limits in use, 0 to 65535. */
    load: () => 0xffff * Math.max(open.size / (sock.requestLimit || 1), openStreams / (sock.streamLimit || 1)),

    /** @param {Message} message `r` or `s` */
    request(message) {
      const { t, id, name, payload } = message;
      const stream = t == 's';
      if (stream && (bodies.has(id) || bodies.size > DISCARDED_MAX)) throw ErrInvalidMsg;
      const refused = refusal(stream);
      const entry = refused ? undefined : find(sock.handlers._requests, name);
      const answer = createAnswer(connection, message, entry?.kind, (reason) => {
        open.delete(answer);
        const body = stream && bodies.get(id);
        if (stream) openStreams--;
        if (body) {
          // What is still to come of it is thrown away.
          bodies.set(id, null);
          body.end(reason ?? new CallError('call over'));
        }
        connection.settle();
      });
      open.add(answer);
      if (stream) {
        openStreams++;
        bodies.set(id, null);
      }
      if (!entry) return answer.fail(refused || `unknown operation "${name}"`);
      let first = payload;
      if (stream && sock._described.has(name)) {
        try {
          answer.describe(JSON.parse(textOf(first)));
        } catch {
          return answer.fail('caller not described');
        }
        first = EMPTY;
      }
      const body = receive(entry, answer);
      if (stream) bodies.set(id, body);
      if (first.length) body.part(first);
      if (!stream) body.end(null);
    },

    /** @param {Message} message `p` */
    part({ id, payload }) {
      const body = bodies.get(id);
      if (body === undefined) throw ErrInvalidMsg;
      if (payload.length) body?.part(payload);
      else {
        bodies.delete(id);
        body?.end(null);
      }
    },

    /** @param {string} [id] of what nobody waits for any more; all if not given */
    cancel(id) {
      for (const answer of open) {
        if (!id) answer.over(closedError());
        else if (id == answer.id) answer.over(new CallError('given up'));
      }
    },
  };
};
