/**
 * Strings, numbers and every kind of buffer as bytes.
 * @module
 */

/**
 * What can be sent as it is.
 * @typedef {string | ArrayBufferLike | ArrayBufferView | null | undefined} Data
 */

const encoder = new TextEncoder();
const lenient = new TextDecoder('utf-8', { ignoreBOM: true });
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });

export const EMPTY = new Uint8Array(0);

/** @param {string} text */
export const utf8 = (text) => encoder.encode(text);

/**
 * Bytes as text; what is no UTF-8 becomes U+FFFD.
 * @param {Uint8Array} bytes
 */
export const textOf = (bytes) => lenient.decode(bytes);

/**
 * Bytes as text.
 * @param {Uint8Array} bytes
 * @throws {TypeError} if they are no UTF-8
 */
export const strictTextOf = (bytes) => strict.decode(bytes);

/**
 * A JSON value; or the text, if it is none.
 * @param {Uint8Array} bytes
 * @returns {any}
 */
export const jsonOrText = (bytes) => {
  const text = textOf(bytes);
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return text;
  }
};

/**
 * The bytes of anything that can be sent. Those of a buffer are shared with it.
 * @param {unknown} data a {@link Data}
 * @returns {Uint8Array}
 * @throws {TypeError} if it is none
 */
export const toBytes = (data) => {
  if (data == null) return EMPTY;
  if (typeof data == 'string') return utf8(data);
  // By its shape: it may come from another realm, such as a frame's. A buffer has no `buffer`, and no offset.
  const { buffer, byteOffset, byteLength } = /** @type {Uint8Array} */ (data);
  if (byteLength >= 0) return new Uint8Array(buffer ?? data, byteOffset, byteLength);
  throw new TypeError('not text or bytes');
};

/**
 * The nearest number that so many hexadecimal digits can say.
 * @param {number} number
 * @param {number} digits
 */
export const hex = (number, digits) =>
  Math.floor(Math.max(0, Math.min(number, 16 ** digits - 1)) || 0).toString(16).padStart(digits, '0');

/**
 * @param {string} text of characters up to U+00FF
 */
export const latin1 = (text) => {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
};

/**
 * The inverse of {@link latin1}.
 * @param {Uint8Array} bytes few: they are arguments
 */
export const charsOf = (bytes) => String.fromCharCode(...bytes);

/**
 * @param {Uint8Array[]} chunks
 * @returns {Uint8Array<ArrayBuffer>} a copy
 */
export const concat = (chunks) => {
  const all = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
};

/**
 * Bytes as gotalk hands them out: a `Uint8Array` of a size, of numbers, of a string's UTF-8 or of a buffer.
 * @param {number | number[] | Data} value
 * @returns {Uint8Array}
 */
export function Buf(value) {
  return typeof value == 'number' || Array.isArray(value) ? new Uint8Array(/** @type {any} */ (value)) : toBytes(value);
}

/** @param {unknown} value */
Buf.isBuf = (value) => value instanceof Uint8Array;

/** @param {string} text */
Buf.fromString = utf8;
