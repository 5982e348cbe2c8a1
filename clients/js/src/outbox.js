/**
 * Messages to frames.
 * @module
 */

import { EMPTY, charsOf, concat, hex, latin1, toBytes, utf8 } from './bytes.js';
import { NAME_BYTES_MAX } from './protocol.js';

/** Bytes of a batch over which it is sent at once: a larger frame saves nothing. */
const BATCH_BYTES_MAX = 64 << 10;

/**
 * A message ready to be sent; it shares nothing with the program.
 * @typedef {object} Outgoing
 * @property {Uint8Array<ArrayBuffer>} header
 * @property {Uint8Array<ArrayBuffer>} payload
 * @property {string} [text] the payload, if it was given as text
 */

/**
 * @param {string} t the type
 * @param {string} id four characters up to U+00FF; empty if the type has none
 * @param {string | null} name of the operation or notification; null if the type has none
 * @param {string} fields further ones, as hexadecimal digits
 * @param {unknown} data the payload, a {@link import('./bytes.js').Data}; false if the type has none
 * @param {number} limit most bytes of the payload
 * @returns {Outgoing}
 * @throws {TypeError} if the payload cannot be sent
 * @throws {RangeError} if the name is too long, or the payload
 */
export const outgoing = (t, id, name, fields, data, limit) => {
  const nameBytes = utf8(name ?? '');
  const payload = data === false ? EMPTY : toBytes(data);
  atMost('name', nameBytes.length, NAME_BYTES_MAX);
  atMost('payload', payload.length, limit);
  const head = t + id + (name === null ? '' : hex(nameBytes.length, 3) + charsOf(nameBytes));
  return {
    header: latin1(head + fields + (data === false ? '' : hex(payload.length, 8))),
    payload: payload.slice(),
    text: typeof data == 'string' ? data : undefined,
  };
};

/**
 * @param {string} what
 * @param {number} size
 * @param {number} max
 */
const atMost = (what, size, max) => {
  if (size > max) throw new RangeError(`${what} over ${max} bytes`);
};

/**
 * What a connection sends over: a WebSocket, or what looks like one.
 * @typedef {object} Wire
 * @property {number} readyState as a WebSocket's
 * @property {string} [protocol] the sub-protocol
 * @property {string} binaryType
 * @property {number} bufferedAmount bytes that wait to be sent
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 * @property {((event: any) => void) | null} onerror
 * @property {((event: any) => void) | null} [onend] the other side has said its last, but listens on
 * @property {(data: any) => void} send
 * @property {(code?: number) => void} close
 * @property {(parts: import('./parts.js').Parts<any>, stallMs: number) => void} [weigh] holds the other side up while
 *   the reader of the parts is far behind
 * @property {boolean} [paused] whether it does so now
 */

/** How often a sender that waits for room looks again, in milliseconds: a WebSocket does not say when it has some. */
const ROOM_POLL_MS = 10;

/** @returns {Promise<void>} */
export const moment = () => new Promise((resolve) => setTimeout(resolve, ROOM_POLL_MS));

/**
 * @param {Wire} wire
 * @param {boolean} batches whether several messages may share a frame; otherwise each piece has one of its own
 */
export const createOutbox = (wire, batches) => {
  /** @type {Uint8Array[]} */
  let batch = [];
  let batchBytes = 0;

  /** @param {string | Uint8Array} data */
  const send = (data) => {
    // One that is closing takes no more: what becomes of it is said by its `close`.
    if (wire.readyState == 1) wire.send(data);
  };

  /** Sends what waits for others to share its frame. */
  const flush = () => {
    if (batchBytes) send(concat(batch));
    batch = [];
    batchBytes = 0;
  };

  return {
    flush,

    /** Bytes that wait to be sent. */
    bytes: () => batchBytes + wire.bufferedAmount,

    /** @param {Outgoing} message */
    push({ header, payload, text }) {
      if (batches) {
        if (!batchBytes) queueMicrotask(flush);
        batch.push(header, payload);
        batchBytes += header.length + payload.length;
        if (batchBytes > BATCH_BYTES_MAX) flush();
      } else {
        send(header);
        if (payload.length) send(text ?? payload);
      }
    },
  };
};
