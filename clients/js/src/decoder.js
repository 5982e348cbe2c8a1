/**
 * Bytes to messages.
 *
 * The bytes may come in pieces of any size. A declared size of a payload reserves nothing: memory grows with what has
 * arrived. An illegal byte is found as soon as it is there.
 * @module
 */

import { EMPTY, charsOf, strictTextOf } from './bytes.js';
import { ErrInvalidMsg, ErrUnsupported } from './errors.js';
import { VERSION } from './protocol.js';

/**
 * A message. Fields that its type does not have are empty or 0.
 * @typedef {object} Message
 * @property {string} t its type, as on the wire; empty if it is the version
 * @property {string} id four characters up to U+00FF
 * @property {string} name of the operation or notification
 * @property {number} wait milliseconds, of `e`
 * @property {number} load 0 to 65535, of `h`
 * @property {number} time Unix seconds, of `h`
 * @property {number} code of `f`
 * @property {Uint8Array} payload
 */

/**
 * The fields of each type, in wire order.
 * @type {Record<string, Array<keyof Message>>}
 */
const LAYOUTS = {
  r: ['id', 'name', 'payload'],
  s: ['id', 'name', 'payload'],
  p: ['id', 'payload'],
  R: ['id', 'payload'],
  S: ['id', 'payload'],
  E: ['id', 'payload'],
  e: ['id', 'wait', 'payload'],
  n: ['name', 'payload'],
  h: ['load', 'time'],
  f: ['code'],
};

/** Thrown, and caught here, where a message is not complete yet. */
const INCOMPLETE = {};

/** Least memory to join pieces in, in bytes: so that many small ones are not copied often. */
const JOIN_BYTES_MIN = 4096;

/** @returns {Message} */
export const blank = () => ({ t: '', id: '', name: '', wait: 0, load: 0, time: 0, code: 0, payload: EMPTY });

/** @param {number} payloadLimit most bytes of a payload */
export const createDecoder = (payloadLimit) => {
  /** @type {Uint8Array} */
  let buffer = EMPTY;
  // What of it is not taken yet.
  let start = 0;
  let end = 0;
  /** Where the next field starts. */
  let at = 0;
  /** Up to where there must be bytes for another look to be worth it. */
  let need = 0;
  let versioned = false;

  /** @param {number} size */
  const take = (size) => {
    const from = at;
    at += size;
    if (at > end) {
      need = at - start;
      throw INCOMPLETE;
    }
    return size ? buffer.subarray(from, at) : EMPTY;
  };

  /** @param {number} digits */
  const number = (digits) => {
    const text = charsOf(buffer.subarray(at, Math.min(at + digits, end)));
    if (/[^0-9a-f]/i.test(text)) throw ErrInvalidMsg;
    take(digits);
    return parseInt(text, 16);
  };

  /** @param {keyof Message} field */
  const read = (field) => {
    if (field == 'id') return charsOf(take(4));
    const value = number(field == 'name' ? 3 : field == 'load' ? 4 : 8);
    if (field == 'payload' && value > payloadLimit) throw ErrInvalidMsg;
    if (field == 'payload') return take(value);
    if (field != 'name') return value;
    const bytes = take(value);
    try {
      return strictTextOf(bytes);
    } catch {
      throw ErrInvalidMsg;
    }
  };

  return {
    /** Whether part of a message has arrived. */
    isPending: () => end > start,

    /** @param {Uint8Array} bytes the next ones; they are kept, and must not change */
    feed(bytes) {
      const size = end - start;
      if (!size) {
        buffer = bytes;
        start = end = 0;
      } else if (end + bytes.length > buffer.length) {
        const joined = new Uint8Array(Math.max(2 * (size + bytes.length), JOIN_BYTES_MIN));
        joined.set(buffer.subarray(start, end));
        buffer = joined;
        start = 0;
        end = size;
      }
      // What was handed out lies before the end, so appending behind it alters nothing.
      if (size) buffer.set(bytes, end);
      end += bytes.length;
    },

    /**
     * Takes the next message.
     * @returns {Message | null} null while it is incomplete
     * @throws {import('./errors.js').ProtocolError} if what arrived is no message; then the conversation is over
     */
    next() {
      if (end - start < need || end == start) return null;
      at = start;
      need = 0;
      const message = blank();
      try {
        if (versioned) {
          message.t = charsOf(take(1));
          if (!LAYOUTS[message.t]) throw ErrInvalidMsg;
          for (const field of LAYOUTS[message.t]) /** @type {any} */ (message)[field] = read(field);
        } else if (charsOf(take(2)) != VERSION) throw ErrUnsupported;
      } catch (stop) {
        if (stop == INCOMPLETE) return null;
        throw stop;
      }
      versioned = true;
      start = at;
      return message;
    },
  };
};
