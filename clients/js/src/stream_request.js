/**
 * A request whose body is written part by part, with the answer as events.
 * @module
 */

import { toBytes } from './bytes.js';
import { Emitter } from './emitter.js';
import { closedError } from './errors.js';

/**
 * Events: `data` with each part of the answer, as bytes; `end` once, with null or the error.
 */
export class StreamRequest extends Emitter {
  #calls;
  #op;
  #type = 's';

  /**
   * @param {import('./sock.js').Sock} sock
   * @param {string} op
   * @param {import('./receiver.js').Receiver} [receiver] instead of the events
   */
  constructor(sock, op, receiver) {
    super();
    this.#calls = sock._calls;
    this.#op = op;
    /** @internal */
    this._call = this.#calls.begin(true, receiver ?? {
      part: (part) => this.emit('data', part),
      end: (error) => this.emit('end', error),
    });
  }

  /** Whether the body can be written to. */
  get writable() {
    return this._call.unended && this.#calls.has(this._call);
  }

  /**
   * Sends a part of the body; an empty one is not sent, as it would end the body.
   * @param {import('./bytes.js').Data} part
   * @returns {Promise<void>} when there is room for more
   * @throws {import('./errors.js').CallError} if the call is over, or too many messages wait for a connection
   */
  async write(part) {
    if (!this.writable) throw closedError('call over');
    if (toBytes(part).length) this.#send(part);
    await this.#calls.room();
  }

  /** Ends the body; the answer may still come. */
  end() {
    if (!this.writable) return;
    if (this.#type == 's') this.#send('');
    this.#calls.endBody(this._call);
  }

  /** @param {unknown} [reason] gives the call up */
  cancel(reason = closedError('given up')) {
    this.#calls.abandon(this._call, reason);
  }

  /** @param {import('./bytes.js').Data} data */
  #send(data) {
    const { _call: call } = this;
    this.#calls.send(this.#type, call.id, this.#type == 's' ? this.#op : null, '', data, call);
    this.#type = 'p';
  }
}
