/**
 * gotalk on the wire, written anew for the tests, so that the library is not judged by itself.
 */

import { Buffer } from 'node:buffer';

const hex = (number, digits) => number.toString(16).padStart(digits, '0');

/** Fields before the payload, by type: i id, n name, w wait, l load, t time, c code, p payload. */
const LAYOUTS = { r: 'inp', s: 'inp', p: 'ip', R: 'ip', S: 'ip', E: 'ip', e: 'iwp', n: 'np', h: 'lt', f: 'c' };

/** @returns {Buffer} one message */
export function encode({ t, id, name, wait = 0, load = 0, time = 0, code = 0, payload = '' }) {
  const parts = [Buffer.from(t)];
  for (const field of LAYOUTS[t]) {
    if (field === 'i') parts.push(Buffer.from(id, 'latin1'));
    if (field === 'n') parts.push(Buffer.from(hex(Buffer.byteLength(name), 3) + name));
    if (field === 'w') parts.push(Buffer.from(hex(wait, 8)));
    if (field === 'l') parts.push(Buffer.from(hex(load, 4)));
    if (field === 't') parts.push(Buffer.from(hex(time, 8)));
    if (field === 'c') parts.push(Buffer.from(hex(code, 8)));
    if (field === 'p') {
      const bytes = Buffer.from(payload);
      parts.push(Buffer.from(hex(bytes.length, 8)), bytes);
    }
  }
  return Buffer.concat(parts);
}

/** Reads messages out of a stream of bytes; throws at what is none. */
export class Reader {
  #bytes = Buffer.alloc(0);
  #versioned = false;

  /** @returns {object[]} the messages that are complete; the version is `{ t: 'v' }` */
  read(bytes) {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    const messages = [];
    for (let message; (message = this.#one()); ) messages.push(message);
    return messages;
  }

  #one() {
    const bytes = this.#bytes;
    if (!this.#versioned) {
      if (bytes.length < 2) return null;
      if (bytes.toString('latin1', 0, 2) !== '01') throw new Error(`not the version: ${bytes}`);
      this.#versioned = true;
      this.#bytes = bytes.subarray(2);
      return { t: 'v' };
    }
    let at = 1;
    const take = (size) => {
      if (at + size > bytes.length) throw null;
      at += size;
      return bytes.subarray(at - size, at);
    };
    const number = (digits) => {
      const text = take(digits).toString('latin1');
      if (!/^[0-9a-f]+$/.test(text)) throw new Error(`not lower-case hexadecimal: ${text}`);
      return parseInt(text, 16);
    };
    if (!bytes.length) return null;
    const message = { t: String.fromCharCode(bytes[0]) };
    if (!LAYOUTS[message.t]) throw new Error(`no message begins with ${message.t}`);
    try {
      for (const field of LAYOUTS[message.t]) {
        if (field === 'i') message.id = take(4).toString('latin1');
        if (field === 'n') message.name = take(number(3)).toString();
        if (field === 'w') message.wait = number(8);
        if (field === 'l') message.load = number(4);
        if (field === 't') message.time = number(8);
        if (field === 'c') message.code = number(8);
        if (field === 'p') message.payload = take(number(8));
      }
    } catch (error) {
      if (error) throw error;
      return null;
    }
    this.#bytes = bytes.subarray(at);
    return message;
  }
}
