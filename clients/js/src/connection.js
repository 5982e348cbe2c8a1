/**
 * One connection: from its handshake to its close.
 *
 * A `Sock` that is kept alive has many, one after the other; whatever belongs to but one of them lives here.
 * @module
 */

import { hex, latin1, textOf, toBytes } from './bytes.js';
import { createDecoder } from './decoder.js';
import { ErrInvalidMsg, ErrTimeout, closedError, errorOfCode, report } from './errors.js';
import { createOutbox, moment, outgoing } from './outbox.js';
import { CANCEL, CLOSE_ERROR, CLOSE_NORMAL, SUBPROTOCOL, VERSION } from './protocol.js';
import { createServing } from './serving.js';

/** Senders that can wait do so while so many bytes wait to be sent. */
const SEND_BYTES_MAX = 1 << 20;

/** Bytes of a stream that its reader has not taken, over which it fails, where the other side cannot be held up. */
const STREAM_BYTES_MAX = 16 << 20;

/** The last close code of an end without a fault, and the one that stands for none. */
const CLOSE_WELL_MAX = 1001;
const CLOSE_NONE = 1005;

/** How long the other side may take to close too, in milliseconds. */
const CLOSE_MS_MAX = 2000;

/** The largest code that has a WebSocket close code of its own. */
const CLOSE_CODE_MAX = 999;

/** @typedef {import('./decoder.js').Message} Message */

/**
 * @typedef {object} Connection
 * @property {Error | null} error why it ends, if not well
 * @property {boolean} ending it takes no more requests, and closes when nothing is open
 * @property {boolean} handshaken the wire is open, and this side's version on its way
 * @property {boolean} knowsCancel the other side is told of calls that are given up
 * @property {() => void} startReading begins to listen; what an open wire has brought is not lost as long as this
 *   happens in the same turn
 * @property {() => void} handshake says the version
 * @property {(message: import('./outbox.js').Outgoing) => void} push
 * @property {(t: string, id: string, name: string | null, fields: string, data: unknown) => void} send
 * @property {() => Promise<void>} room settled when there is room for more, or nobody to send it to
 * @property {(load?: number) => void} heartbeat
 * @property {() => void} startHeart
 * @property {() => void} stopHeart
 * @property {(message: Message) => void} take
 * @property {(parts: import('./parts.js').Parts<any>) => void} weigh told when the reader of a stream falls behind
 * @property {(graceMs: number) => void} end closes when all that is open is answered, or the grace is over
 * @property {() => void} abort closes without waiting for anybody
 * @property {() => void} settle closes if it is to end and nothing is open
 * @property {(code: number) => void} closeError tells the other side what is wrong, and closes
 */

/**
 * @param {import('./sock.js').Sock} sock
 * @param {import('./outbox.js').Wire} wire
 * @returns {Connection}
 */
export const createConnection = (sock, wire) => {
  const decoder = createDecoder(sock.payloadLimit);
  /** @type {ReturnType<typeof createOutbox> | undefined} */
  let outbox;
  let closed = false;
  /** Whether the other side sends heartbeats. */
  let beats = false;
  let readAt = Date.now();
  let beatAt = 0;
  /** What the wire said went wrong with it. @type {unknown} */
  let cause;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let heart;

  /** @type {Connection} */
  const connection = {
    error: null,
    ending: false,
    handshaken: false,
    knowsCancel: false,

    startReading() {
      wire.onmessage = ({ data }) => read(data);
      wire.onclose = ({ code }) => gone(code);
      wire.onerror = ({ error }) => (cause = error);
      // The other side says no more: what it was asked for is not to be had any more.
      wire.onend = () => {
        sock._calls.lost(connection);
        connection.end(sock.readTimeout);
      };
    },

    handshake() {
      const batches = wire.protocol == SUBPROTOCOL;
      connection.handshaken = true;
      connection.knowsCancel ||= batches;
      outbox = createOutbox(wire, batches);
      connection.push({ header: latin1(VERSION), payload: new Uint8Array(0) });
    },

    push(message) {
      if (!closed) outbox?.push(message);
    },

    send(t, id, name, fields, data) {
      connection.push(outgoing(t, id, name, fields, data, sock.payloadLimit));
    },

    async room() {
      while (!closed && outbox && outbox.bytes() > SEND_BYTES_MAX) await moment();
    },

    heartbeat(load = serving.load()) {
      beatAt = Date.now();
      connection.send('h', '', null, hex(load, 4) + hex(beatAt / 1000, 8), false);
    },

    startHeart() {
      connection.stopHeart();
      if (!sock.heartbeatInterval) return;
      connection.heartbeat();
      heart = setInterval(() => connection.heartbeat(), sock.heartbeatInterval);
    },

    stopHeart() {
      clearInterval(heart);
      heart = undefined;
    },

    take(message) {
      const { t, name, payload, code } = message;
      if (t == 'r' || t == 's') serving.request(message);
      else if (t == 'p') serving.part(message);
      else if (t == 'n' && name == CANCEL) serving.cancel(idOf(textOf(payload)));
      else if (t == 'n') sock._notified(name, payload);
      else if (t == 'h') beaten(message);
      else if (t == 'f') shut(errorOfCode(code), code > CLOSE_CODE_MAX ? ErrInvalidMsg.code : code);
      else if (t) sock._calls.answered(message);
      else {
        watch();
        if (!heart) connection.startHeart();
        sock._ready(connection);
      }
    },

    weigh(parts) {
      if (wire.weigh) wire.weigh(parts, sock.readTimeout);
      else if (parts.bytes > STREAM_BYTES_MAX) parts._fail(new Error('not read in time'));
    },

    end(graceMs) {
      connection.ending = true;
      clearTimeout(timer);
      timer = setTimeout(shut, graceMs, null);
      connection.settle();
    },

    abort() {
      shut(connection.error);
      gone(CLOSE_NORMAL);
    },

    settle() {
      if (connection.ending && serving.isIdle() && sock._calls.isIdle()) shut(null);
    },

    closeError(code) {
      if (closed || connection.error) return;
      connection.send('f', '', null, hex(code, 8), false);
      shut(errorOfCode(code), code);
    },
  };
  const serving = createServing(sock, connection);

  /** @param {unknown} data of one frame, or some bytes of a socket */
  const read = (data) => {
    readAt = Date.now();
    try {
      decoder.feed(toBytes(data));
      for (let message; !closed && !connection.error && (message = decoder.next()); ) connection.take(message);
    } catch (error) {
      const { code } = /** @type {import('./errors.js').ProtocolError} */ (error);
      if (!(code >= 0)) report(error);
      connection.closeError(code ?? ErrInvalidMsg.code);
    }
  };

  /** @param {Message} message */
  const beaten = ({ load, time }) => {
    beats = true;
    // Browsers hold up the timers of tabs that are not seen, but not their messages.
    if (heart && Date.now() - beatAt > 0.75 * sock.heartbeatInterval) connection.heartbeat();
    sock.emit('heartbeat', { time: new Date(time * 1000), load });
  };

  /** The other side is timed out only if it sends heartbeats, or has begun a message: others may have nothing to say. */
  const watch = () => {
    clearTimeout(timer);
    const { readTimeout } = sock;
    if (!readTimeout) return;
    const rest = () => readAt + readTimeout - Date.now();
    timer = setTimeout(() => {
      if (rest() <= 0 && !wire.paused && (beats || decoder.isPending())) connection.closeError(ErrTimeout.code);
      else watch();
    }, rest() > 0 ? rest() : readTimeout);
  };

  /**
   * @param {Error | null} error why, if not well
   * @param {number} [code]
   */
  const shut = (error, code) => {
    if (closed) return;
    connection.error = error;
    clearTimeout(timer);
    outbox?.flush();
    wire.close(code === undefined ? CLOSE_NORMAL : CLOSE_ERROR + code);
    // One that does not even answer to that is not waited for.
    if (error == ErrTimeout) gone(CLOSE_NORMAL);
    else timer = setTimeout(gone, CLOSE_MS_MAX, CLOSE_NORMAL);
  };

  /** @param {number} code that the wire was closed with */
  const gone = (code) => {
    if (closed) return;
    closed = true;
    connection.stopHeart();
    clearTimeout(timer);
    wire.onopen = wire.onmessage = wire.onclose = wire.onend = null;
    if (code > CLOSE_WELL_MAX && code != CLOSE_NONE) connection.error ??= Object.assign(closedError(), { cause });
    serving.cancel();
    sock._closed(connection);
  };

  wire.binaryType = 'arraybuffer';
  /** @type {ReturnType<typeof setTimeout>} what is waited for: the handshake, then messages, the end of what is open, and the close */
  let timer = setTimeout(() => connection.closeError(ErrTimeout.code), sock.openTimeout);
  return connection;
};

/**
 * @param {string} digits
 * @returns {string} the id that they stand for
 */
const idOf = (digits) => digits.replace(/../g, (pair) => String.fromCharCode(parseInt(pair, 16)));
