/**
 * What takes in a payload that may come in parts.
 * @module
 */

import { concat } from './bytes.js';

/**
 * @typedef {object} Receiver
 * @property {(part: Uint8Array) => void} part
 * @property {(error: unknown) => void} end null if all of it came
 */

/**
 * Joins all parts.
 * @param {number} limit most bytes
 * @param {(bytes: Uint8Array) => void} resolve
 * @param {(error: unknown) => void} reject
 * @returns {Receiver}
 */
export const collect = (limit, resolve, reject) => {
  /** @type {Uint8Array[]} */
  const parts = [];
  let room = limit;
  return {
    part(part) {
      room -= part.length;
      if (room >= 0) parts.push(part);
      else parts.length = 0;
    },
    end(error) {
      if (error !== null) reject(error);
      else if (room < 0) reject(new RangeError(`payload over ${limit} bytes`));
      else resolve(parts.length == 1 ? parts[0] : concat(parts));
    },
  };
};
