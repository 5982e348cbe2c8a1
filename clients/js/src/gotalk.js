/**
 * gotalk v1 for browsers, and whatever else has a WebSocket: by the names of the original library, and more.
 *
 * ```js
 * import gotalk from '@switchboard/gotalk';
 *
 * gotalk.handle('greet', ({ name }) => ({ greeting: `Hello ${name}` }));
 * const sock = gotalk.connection();
 * console.log(await sock.request('echo', 'hi'));
 * ```
 * @module
 */

import { Buf } from './bytes.js';
import { CallError, ErrAbnormal, ErrInvalidMsg, ErrTimeout, ErrUnsupported } from './errors.js';
import { Handlers } from './handlers.js';
import { Published } from './hub.js';
import { Parts } from './parts.js';
import { protocol } from './protocol.js';
import { settings } from './settings.js';
import { Sock } from './sock.js';
import { StreamRequest } from './stream_request.js';

export {
  Buf, CallError, ErrAbnormal, ErrInvalidMsg, ErrTimeout, ErrUnsupported, Handlers, Parts, Published, Sock,
  StreamRequest, protocol,
};

/**
 * @typedef {import('./handlers.js').RequestHandler} RequestHandler
 * @typedef {import('./handlers.js').NotificationHandler} NotificationHandler
 * @typedef {import('./handlers.js').Result} Result
 * @typedef {import('./limit.js').CallOptions} CallOptions
 * @typedef {import('./hub.js').Hub} Hub
 * @typedef {import('./hub.js').Login} Login
 * @typedef {import('./hub.js').Policy} Policy
 * @typedef {import('./hub.js').WhoAmI} WhoAmI
 */

/** Of this library. */
export const version = '0.1.0';

/** The handlers of every sock that has none of its own. */
export const { defaultHandlers } = settings;

export const {
  /** Answers an operation, with JSON values, on every sock that has no handlers of its own. */
  handleRequest: handle,
  /** Answers an operation, with bytes. */
  handleBufferRequest,
  /** Answers an operation while its parts come in. */
  handleStreamRequest,
  /** Listens to notifications, with JSON values. */
  handleNotification,
  /** Listens to notifications, with bytes. */
  handleBufferNotification,
} = defaultHandlers;

/**
 * Connects, once.
 * @param {string | null | import('./sock.js').Callback<Sock>} [address] where this library came from if not given
 * @param {import('./sock.js').Callback<Sock> | null} [callback] told whether that worked
 * @param {Handlers} [handlers]
 * @param {import('./protocol.js').Encoding} [encoding]
 * @returns {Sock}
 */
export function open(address, callback, handlers, encoding) {
  return new Sock(handlers, encoding).open(address, callback);
}

/**
 * Connects, and does so again whenever the connection is lost.
 * @param {string | null} [address]
 * @param {Handlers} [handlers]
 * @param {import('./protocol.js').Encoding} [encoding]
 * @returns {Sock}
 */
export function connection(address, handlers, encoding) {
  return new Sock(handlers, encoding).openKeepAlive(address);
}

/**
 * Connects, and waits until that has worked.
 * @param {string | null} [address]
 * @param {Partial<Pick<Sock, 'handlers' | 'protocol' | 'keepalive' | 'sendBufferLimit' | 'heartbeatInterval' |
 *   'readTimeout' | 'openTimeout' | 'payloadLimit' | 'requestLimit' | 'streamLimit' | 'retries' | 'retryTime' | 'dialOptions'>>} [options] of the sock. With `keepalive` it is tried for
 *   ever
 * @returns {Promise<Sock>}
 */
export const connect = (address, options) =>
  new Promise((resolve, reject) => {
    Object.assign(new Sock(), options).open(address, (error, sock) => (sock ? resolve(sock) : reject(error)));
  });

/**
 * Pages written for the original call some classes without `new`.
 * @template {new (...args: any[]) => any} C
 * @param {C} type
 * @returns {C & ((...args: ConstructorParameters<C>) => InstanceType<C>)}
 */
const callable = (type) => new Proxy(/** @type {any} */ (type), { apply: (_, __, args) => new type(...args) });

/** All of it under one name: what pages know as `gotalk`. */
const gotalk = Object.assign(settings, {
  version, protocol, Buf, ErrAbnormal, ErrUnsupported, ErrInvalidMsg, ErrTimeout, CallError,
  Sock: callable(Sock), Handlers: callable(Handlers), StreamRequest, open, connection, connect, handle, handleBufferRequest, handleStreamRequest, handleNotification,
  handleBufferNotification,
});

export default gotalk;
