/**
 * A party that talks gotalk: over one connection, or over one after the other.
 * @module
 */

import { createBackOff } from './back_off.js';
import { hex, jsonOrText, textOf, toBytes } from './bytes.js';
import { createCalls } from './calls.js';
import { createConnection } from './connection.js';
import { blank } from './decoder.js';
import { dial, resolve } from './dial.js';
import { Emitter } from './emitter.js';
import { CallError, ErrTimeout, closedError, guarded } from './errors.js';
import { find } from './handlers.js';
import { createHub } from './hub.js';
import { limit } from './limit.js';
import { Parts } from './parts.js';
import { protocol as protocols } from './protocol.js';
import { settings } from './settings.js';
import { StreamRequest } from './stream_request.js';

/** @typedef {import('./connection.js').Connection} Connection */
/** @typedef {import('./hub.js').Hub} Hub */
/** @typedef {import('./limit.js').CallOptions} CallOptions */
/** @typedef {import('./bytes.js').Data} Data */

/**
 * `new`: never opened · `connecting` · `open` · `waiting`: kept alive, and about to try again · `ending`: answers what
 * is open, then closes · `closed`
 * @typedef {'new' | 'connecting' | 'open' | 'waiting' | 'ending' | 'closed'} State
 */

/**
 * @template T
 * @callback Callback
 * @param {any} error null if it went well
 * @param {T} [value]
 * @returns {void}
 */

/** How long {@link Sock.end} waits for open requests if not told otherwise, in milliseconds. */
const END_GRACE_MS = 30_000;

/**
 * Events: `open` (the sock) · `close` (null or an error) · `heartbeat` ({ time, load }) · `state` (the new state) ·
 * `error` (what the hub refused when the connection came back).
 */
export class Sock extends Emitter {
  /** Whether to connect again when the connection is lost. */
  keepalive = false;
  /** Most messages that wait for the connection. */
  sendBufferLimit = 100;
  /** Milliseconds between heartbeats; 0 sends none. */
  heartbeatInterval = 20_000;
  /** Milliseconds of silence, from one who sends heartbeats, after which the connection is given up; 0 waits for ever. */
  readTimeout = 30_000;
  /** Milliseconds within which the connection must be there, and the other side have said its version. */
  openTimeout = 20_000;
  /** Most bytes of a payload, either way. */
  payloadLimit = 16 << 20;
  /** Most requests of the other side that are answered at once. */
  requestLimit = 10_000;
  /** Most of them that are streams; 0 takes none. */
  streamLimit = 256;
  /** How often a request is made again that the other side asks to retry. */
  retries = 8;
  /** Milliseconds after a request in which it is made again. */
  retryTime = 30_000;
  /** For the transport: outside browsers, the options of `ws`, or of `tls.connect`. @type {object} */
  dialOptions = {};
  /** The WebSocket, or what stands for it. @type {any} */
  ws = null;
  /** @type {State} */
  state = 'new';
  /** Operations whose callers are described. @type {Set<string>} @internal */
  _described = new Set();
  /** @type {import('./calls.js').Calls} @internal */
  _calls = createCalls(this);

  #address = '';
  /** @type {Connection | null} */
  #connection = null;
  /** @type {Callback<Sock> | null} */
  #callback = null;
  /** @type {(() => void) | null} stops waiting to connect again */
  #wake = null;
  #backOff = createBackOff();
  /** Whether to offer our sub-protocol, as far as is known. */
  #offer = true;
  /** Whether it was offered this time. */
  #offered = false;
  #openedAt = 0;
  /** @type {Hub | null} */
  #hub = null;

  /**
   * @param {import('./handlers.js').Handlers} [handlers] `defaultHandlers` if not given
   * @param {import('./protocol.js').Encoding} [protocol] `protocol.binary` if not given
   */
  constructor(handlers, protocol) {
    super();
    this.handlers = handlers ?? settings.defaultHandlers;
    this.protocol = protocol ?? protocols.binary;
  }

  // ---- connecting

  /**
   * Connects, once.
   * @param {string | null | Callback<Sock>} [address] `gotalk.defaultResponderAddress` if not given
   * @param {Callback<Sock> | null} [callback] told once whether that worked
   * @returns {this}
   */
  open(address, callback = null) {
    if (typeof address == 'function') return this.open(null, address);
    if (this.#connection || this.#wake) throw new Error('open already');
    this.#address = resolve(address || settings.defaultResponderAddress);
    this.#callback = callback;
    this.#dial(this.#offer);
    return this;
  }

  /**
   * Connects, and does so again whenever the connection is lost, until {@link end}.
   * @param {string | null} [address]
   * @returns {this}
   */
  openKeepAlive(address) {
    this.keepalive = true;
    return this.open(address);
  }

  /** Where it is connected to. */
  address() {
    return this.#address;
  }

  /**
   * Takes over a connection that somebody else has made; `handshake` and `startReading` are to follow.
   * @param {any} ws a WebSocket, or what looks like one
   */
  adopt(ws) {
    this.ws = ws;
    this.#connection = createConnection(this, ws);
    this.#become('connecting');
  }

  /**
   * Takes over a WebSocket, open or about to be.
   * @param {any} ws
   */
  adoptWebSocket(ws) {
    this.adopt(ws);
    this.startReading();
    if (ws.readyState === 1) this.handshake();
    else ws.onopen = () => this.handshake();
  }

  /** Says the version. */
  handshake() {
    this.#connection?.handshake();
  }

  startReading() {
    this.#connection?.startReading();
  }

  // ---- ending

  /**
   * Closes, when all that is open on either side is answered, or the grace is over.
   * @param {number} [graceMs] milliseconds
   */
  end(graceMs = END_GRACE_MS) {
    this.keepalive = false;
    this.#wake?.();
    const connection = this.#connection;
    if (!connection) return this.#finish();
    this.#become('ending');
    if (connection.handshaken || !this._calls.isIdle()) return connection.end(graceMs);
    this.#offered = false;
    connection.abort();
  }

  /**
   * Tells the other side that it broke the protocol, and closes.
   * @param {number} code
   */
  closeError(code) {
    this.#connection?.closeError(code);
  }

  // ---- requests

  /**
   * Calls an operation, with JSON values.
   * @param {string} op
   * @param {any} [value] undefined sends nothing, null sends `null`
   * @param {Callback<any> | CallOptions} [callback] if not given, returns a promise
   * @returns {Promise<any>}
   */
  request(op, value, callback) {
    if (typeof value == 'function') return this.request(op, undefined, value);
    return finished(callback, async (options) => {
      const bytes = await this._calls.whole(op, JSON.stringify(value), options);
      return bytes.length ? JSON.parse(textOf(bytes)) : null;
    });
  }

  /**
   * Calls an operation, with bytes.
   * @param {string} op
   * @param {Data} [data]
   * @param {Callback<Uint8Array> | CallOptions} [callback] if not given, returns a promise
   * @returns {Promise<Uint8Array>}
   */
  bufferRequest(op, data, callback) {
    return finished(callback, (options) => this._calls.whole(op, data, options));
  }

  /**
   * @param {string} op
   * @param {any} [value]
   * @param {CallOptions} [options]
   * @returns {Promise<any>}
   */
  requestp(op, value, options) {
    return this.request(op, value, options);
  }

  /**
   * @param {string} op
   * @param {Data} [data]
   * @param {CallOptions} [options]
   * @returns {Promise<Uint8Array>}
   */
  bufferRequestp(op, data, options) {
    return this.bufferRequest(op, data, options);
  }

  /**
   * Calls an operation with a body that is written part by part.
   * @param {string} op
   * @returns {StreamRequest}
   */
  streamRequest(op) {
    return new StreamRequest(this, op);
  }

  /**
   * Calls an operation whose answer is read part by part, by `for await`.
   * @param {string} op
   * @param {Data | AsyncIterable<Data> | Iterable<Data>} [body] an iterable is sent part by part
   * @param {CallOptions & { as?: import('./parts.js').As }} [options] `as`: what the parts are handed out as, bytes if
   *   not given. There are no retries
   * @returns {Parts<any>}
   * @throws {Error} if it cannot even begin
   */
  stream(op, body, options = {}) {
    options.signal?.throwIfAborted();
    /** @type {import('./calls.js').Call} */
    let call;
    const stop = (/** @type {unknown} */ reason) => this._calls.abandon(call, reason);
    const done = limit(options, stop);
    const parts = new Parts((some) => this.#connection?.weigh(some), () => stop(null), options.as);
    const receiver = {
      part: (/** @type {Uint8Array} */ part) => parts._push(part),
      end: (/** @type {unknown} */ error) => {
        done();
        parts._end(error);
      },
    };
    const whole = body == null || typeof body == 'string' || 'byteLength' in body;
    if (whole) call = this._calls.single(op, body, receiver);
    else {
      const request = new StreamRequest(this, op, receiver);
      call = request._call;
      this.#pump(request, body);
    }
    return parts;
  }

  /**
   * @param {StreamRequest} request
   * @param {AsyncIterable<Data> | Iterable<Data>} body
   */
  async #pump(request, body) {
    try {
      for await (const part of body) {
        if (!request.writable) return;
        await request.write(part);
      }
      request.end();
    } catch (error) {
      request.cancel(error);
    }
  }

  // ---- notifications and heartbeats

  /**
   * Tells the other side something, as a JSON value.
   * @param {string} name
   * @param {any} [value]
   */
  notify(name, value) {
    this.bufferNotify(name, JSON.stringify(value));
  }

  /**
   * Tells the other side something, as bytes.
   * @param {string} name
   * @param {Data} [data]
   * @throws {CallError} if it is closed, or too many messages wait for a connection
   */
  bufferNotify(name, data) {
    this.sendMsg('n', null, name, 0, data);
  }

  /** @param {number} [load] how busy this side is, 0 to 65535 */
  sendHeartbeat(load) {
    this.#connection?.heartbeat(load);
  }

  startSendingHeartbeats() {
    this.#connection?.startHeart();
  }

  stopSendingHeartbeats() {
    this.#connection?.stopHeart();
  }

  /** The hub at the other end; only for a connection to one. @returns {Hub} */
  get hub() {
    if (this.#connection) this.#connection.knowsCancel = true;
    return (this.#hub ??= createHub(this));
  }

  // ---- single messages

  /**
   * Sends any message.
   * @param {string} t its type, as on the wire
   * @param {string | null} id four characters up to U+00FF
   * @param {string | null} name
   * @param {number} wait milliseconds, of `e`
   * @param {Data} payload
   */
  sendMsg(t, id, name, wait, payload) {
    this._calls.send(t, id ?? '', name, t == 'e' ? hex(wait, 8) : '', payload);
  }

  /**
   * Takes a message as if it had come over the connection.
   * @param {Partial<import('./decoder.js').Message>} message
   * @param {Data} [payload]
   */
  handleMsg(message, payload) {
    this.#connection?.take({ ...blank(), ...message, payload: toBytes(payload ?? message.payload) });
  }

  // ---- for the rest of the library

  /**
   * @param {string} name
   * @param {Uint8Array} payload
   * @internal
   */
  _notified(name, payload) {
    const { _notifications: entries } = this.handlers;
    const entry = this.#hub?._deliver(name, payload) ? entries.get(name) : find(entries, name);
    if (entry) guarded(() => entry.handler(entry.kind == 'json' ? jsonOrText(payload) : payload, name));
  }

  /** @param {Connection} connection whose handshake is done @internal */
  async _ready(connection) {
    const hub = this.#hub;
    try {
      if (hub) {
        connection.knowsCancel = true;
        await hub._restore((op, value) => this._calls.whole(op, JSON.stringify(value), { retries: 0 }, connection));
      }
      if (connection == this.#connection) this.#opened(connection);
    } catch (error) {
      if (connection != this.#connection) return;
      // Once more from the start, unless the hub will never have it.
      if (!(error instanceof CallError && error.retry)) this.keepalive = false;
      this.emit('error', error);
      connection.error = /** @type {Error} */ (error);
      connection.abort();
    }
  }

  /** @param {Connection} connection @internal */
  _closed(connection) {
    if (connection != this.#connection) return;
    const { error } = connection;
    const lasted = this.#openedAt && Date.now() - this.#openedAt + 1;
    this.#connection = this.ws = null;
    this.#openedAt = 0;
    this._calls.lost(connection);
    if (!connection.handshaken) {
      // A server that does not take the sub-protocol makes the handshake fail, and a browser does not say why.
      if (this.#offered) return this.#dial(false);
      this.#offer = true;
    }
    const kept = this.keepalive;
    if (kept) this.#rest(this.#backOff(lasted, error == ErrTimeout));
    else this.#finish(error);
    if (connection.handshaken || !kept) this.emit('close', error);
  }

  /** @param {Connection} connection */
  #opened(connection) {
    const ending = this.state == 'ending';
    this.#offer = this.#offered;
    this.#openedAt = Date.now();
    if (!ending) this.#become('open');
    this._calls.flush(connection);
    if (ending) connection.end(END_GRACE_MS);
    this.#tell(null);
    this.emit('open', this);
  }

  // ---- connecting

  /** @param {boolean} offer whether to offer our sub-protocol */
  #dial(offer) {
    const { state } = this;
    try {
      this.#offered = offer && this.#address.startsWith('ws');
      this.adoptWebSocket(dial(this.#address, this.#offered, this.dialOptions));
    } catch (error) {
      if (!this.#callback) throw error;
      this.#tell(error);
    }
    if (state == 'ending') this.#become(state);
  }

  /** @param {number} ms before it is tried again, unless the network is away, or comes back */
  #rest(ms) {
    this.#become('waiting');
    const { addEventListener, removeEventListener, navigator } = /** @type {any} */ (globalThis);
    const away = navigator?.onLine == false && !/\/\/(localhost|127|\[)/.test(this.#address);
    const again = () => {
      this.#wake?.();
      if (this.keepalive) this.#dial(this.#offer);
    };
    const timer = away ? undefined : setTimeout(again, ms);
    addEventListener?.('online', again);
    this.#wake = () => {
      clearTimeout(timer);
      removeEventListener?.('online', again);
      this.#wake = null;
    };
  }

  /** @param {Error | null} [error] */
  #finish(error = null) {
    this._calls.lost(null);
    this.#become('closed');
    this.#tell(error ?? closedError());
  }

  /** @param {unknown} error null if it is open */
  #tell(error) {
    const callback = this.#callback;
    this.#callback = null;
    if (callback) guarded(() => (error ? callback(error) : callback(null, this)));
  }

  /** @param {State} state */
  #become(state) {
    this.state = state;
    this.emit('state', state);
  }
}

/**
 * @template T
 * @param {Callback<T> | CallOptions | undefined} callback
 * @param {(options: CallOptions) => Promise<T>} begin
 * @returns {Promise<T>} resolved with nothing if there is a callback
 */
const finished = (callback, begin) => {
  if (typeof callback != 'function') return begin(callback ?? {});
  const done = begin({}).then(
    (value) => guarded(() => callback(null, value)),
    (error) => guarded(() => callback(error)),
  );
  return /** @type {Promise<any>} */ (done);
};
