/**
 * A TCP, TLS or Unix socket that looks like a WebSocket.
 * @module
 */

import { SUBPROTOCOL } from '../protocol.js';
import { holdingUp } from './holding_up.js';

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

const CLOSE_NORMAL = 1000;
/** No close was seen: the connection was reset, or never there. */
const CLOSE_ABNORMAL = 1006;

/** How long the other side may take to close too, in milliseconds. */
const LINGER_MS = 2000;

/**
 * @typedef {import('../outbox.js').Wire} Wire
 * @implements {Wire}
 */
export class StreamSocket {
  /** Bytes are bytes: messages may be joined. */
  protocol = SUBPROTOCOL;
  binaryType = 'arraybuffer';
  readyState = CONNECTING;
  /** @type {((event: any) => void) | null} */
  onopen = null;
  /** @type {((event: any) => void) | null} */
  onmessage = null;
  /** @type {((event: any) => void) | null} */
  onclose = null;
  /** @type {((event: any) => void) | null} */
  onerror = null;
  /** @type {((event: any) => void) | null} */
  onend = null;
  #holding;

  /**
   * @param {import('node:net').Socket} socket that is half-open when the other side ends
   * @param {string} [opens] the event by which it says that it is ready; none if it is
   */
  constructor(socket, opens) {
    this.socket = socket;
    this.#holding = holdingUp(socket);
    socket.setNoDelay?.(true);
    // Plain bytes, as everywhere else.
    socket.on('data', (data) => this.onmessage?.({ data: new Uint8Array(data.buffer, data.byteOffset, data.length) }));
    socket.on('end', () => this.#ended());
    socket.on('error', (error) => this.onerror?.({ error }));
    socket.on('close', (failed) => this.#closed(failed));
    if (opens) socket.once(opens, () => this.#opened());
    else this.readyState = OPEN;
  }

  get bufferedAmount() {
    return this.socket.writableLength;
  }

  /** @param {string | Uint8Array} data */
  send(data) {
    this.socket.write(data);
  }

  /** Ends when all that was sent is on its way. */
  close() {
    if (this.readyState >= CLOSING) return;
    if (this.readyState === CONNECTING) {
      this.socket.destroy();
      return;
    }
    this.readyState = CLOSING;
    this.socket.end();
    this.socket.resume();
    const linger = setTimeout(() => this.socket.destroy(), LINGER_MS);
    this.socket.once('close', () => clearTimeout(linger));
  }

  /** Whether the socket is not read. */
  get paused() {
    return this.#holding.paused;
  }

  /**
   * @param {import('../parts.js').Parts<any>} parts
   * @param {number} stallMs
   */
  weigh(parts, stallMs) {
    if (this.readyState === OPEN) this.#holding.weigh(parts, stallMs);
  }

  #opened() {
    if (this.readyState !== CONNECTING) return;
    this.readyState = OPEN;
    this.onopen?.({});
  }

  #ended() {
    if (this.onend && this.readyState === OPEN) this.onend({});
    else this.close();
  }

  /** @param {boolean} failed */
  #closed(failed) {
    const opened = this.readyState !== CONNECTING;
    this.readyState = CLOSED;
    this.onclose?.({ code: opened && !failed ? CLOSE_NORMAL : CLOSE_ABNORMAL });
  }
}
