/**
 * gotalk v1 for Node: over WebSocket as in browsers, and over TCP, TLS and Unix sockets.
 *
 * | address | |
 * | --- | --- |
 * | `tcp://HOST:PORT` | TCP |
 * | `tls://HOST:PORT` | TLS; `dialOptions` go to `tls.connect` |
 * | `unix:///PATH` | a Unix socket |
 * | `ws://HOST/PATH`, `wss://…` | a WebSocket: Node's own, or if it has none or there are `dialOptions`, that of `ws` |
 * @module
 */

import net from 'node:net';
import tls from 'node:tls';

import { dialers } from './dial.js';
import { holdingUp } from './node/holding_up.js';
import { loadWs } from './node/load_ws.js';
import { StreamSocket } from './node/stream_socket.js';
import { settings } from './settings.js';

export * from './gotalk.js';
export { default } from './gotalk.js';
export { StreamSocket };

/** Where a hub listens for gotalk if nothing else is said. */
const DEFAULT_PORT = 4700;

/** @param {string} address */
const hostAndPort = (address) => {
  const { hostname, port } = new URL(address);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || DEFAULT_PORT };
};

dialers.tcp = (address, _, options) =>
  new StreamSocket(net.connect({ ...options, ...hostAndPort(address), allowHalfOpen: true }), 'connect');

dialers.tls = (address, _, options) => {
  const to = hostAndPort(address);
  const servername = net.isIP(to.host) ? undefined : to.host;
  return new StreamSocket(
    tls.connect({ servername, ...options, ...to, .../** @type {{}} */ ({ allowHalfOpen: true }) }),
    'secureConnect',
  );
};

dialers.unix = (address, _, options) =>
  new StreamSocket(
    net.connect({ ...options, path: address.slice('unix://'.length), allowHalfOpen: true }),
    'connect',
  );

dialers.ws = (address, protocols, options) => {
  if (globalThis.WebSocket && !Object.keys(options).length) return new globalThis.WebSocket(address, protocols);
  const ws = new (loadWs())(address, protocols, options);
  // Unlike a browser's, it can be paused.
  const holding = holdingUp(ws);
  return Object.defineProperties(ws, {
    weigh: { value: holding.weigh },
    paused: { get: () => holding.paused },
  });
};

settings.defaultResponderAddress ||= process.env.SWITCHBOARD_HUB ?? `tcp://127.0.0.1:${DEFAULT_PORT}`;
