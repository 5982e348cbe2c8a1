/**
 * The `ws` package, where the program has it: Node 20 has no WebSocket of its own.
 * @module
 */

import { createRequire } from 'node:module';

/** @returns {any} its WebSocket class */
export const loadWs = () => {
  try {
    return createRequire(import.meta.url)('ws');
  } catch (cause) {
    throw new Error('this Node has no WebSocket: install the package "ws", or connect by tcp:// or unix://', { cause });
  }
};
