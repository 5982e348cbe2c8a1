/**
 * The library under test: the sources, or with `GOTALK_SCRIPT=1` the script that pages load. It is shortened, so the
 * tests of behaviour run against both.
 */

import { createRequire } from 'node:module';

import { WebSocket } from 'ws';

const load = async () => {
  if (!process.env.GOTALK_SCRIPT) return (await import('../../src/node.js')).default;
  globalThis.WebSocket ??= WebSocket;
  return createRequire(import.meta.url)('../../dist/gotalk.js');
};

/** @type {import('../../src/gotalk.js').default} */
export default await load();
