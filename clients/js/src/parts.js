/**
 * The parts of a stream, on their way from the connection to whoever reads them.
 * @module
 */

import { textOf } from './bytes.js';

/**
 * How a part is handed out.
 * @typedef {'bytes' | 'text' | 'json'} As
 */

/**
 * A streamed body or result. It can be read once, by `for await`; leaving the loop gives the rest up.
 * @template [T=Uint8Array]
 * @implements {AsyncIterableIterator<T>}
 */
export class Parts {
  /** @type {Uint8Array[]} */
  #queue = [];
  /** Settled when there is something new. @type {Promise<void> | undefined} */
  #news;
  /** @type {(() => void) | undefined} */
  #wake;
  #ended = false;
  /** @type {unknown} */
  #error = null;
  #text = new TextDecoder();
  #as;
  #gaveUp;
  #changed;

  /**
   * @param {(parts: Parts<any>) => void} changed `bytes` is another
   * @param {() => void} gaveUp the reader wants no more
   * @param {As} [as]
   */
  constructor(changed, gaveUp, as) {
    this.#changed = changed;
    this.#gaveUp = gaveUp;
    this.#as = as;
    /** How many bytes wait for the reader. */
    this.bytes = 0;
  }

  /**
   * @param {Uint8Array} part not empty
   * @internal
   */
  _push(part) {
    if (this.#ended) return;
    this.#queue.push(part);
    this.#weighs(part.length);
  }

  /**
   * @param {unknown} [error] why no more comes
   * @internal
   */
  _end(error = null) {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#weighs(0);
  }

  /**
   * @param {unknown} error why the reader gets no more, at once
   * @internal
   */
  _fail(error) {
    this.#error = error;
    this.cancel();
  }

  /** @returns {Promise<IteratorResult<T, undefined>>} */
  async next() {
    while (!this.#queue.length && !this.#ended) {
      await (this.#news ??= new Promise((resolve) => (this.#wake = resolve)));
    }
    const part = this.#queue.shift();
    const error = this.#error;
    if (part) {
      this.#weighs(-part.length);
      return { done: false, value: this.#convert(part) };
    }
    this.#error = null;
    if (error !== null) throw error;
    return { done: true, value: undefined };
  }

  /** @returns {Promise<IteratorResult<T, undefined>>} */
  async return() {
    this.cancel();
    return { done: true, value: undefined };
  }

  /** Gives the rest up, and tells the other side if it understands that. */
  cancel() {
    const ended = this.#ended;
    this.#ended = true;
    this.#queue = [];
    this.#weighs(-this.bytes);
    if (!ended) this.#gaveUp();
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  /** @param {number} more bytes wait for the reader */
  #weighs(more) {
    this.bytes += more;
    this.#wake?.();
    this.#news = undefined;
    this.#changed(this);
  }

  /**
   * @param {Uint8Array} part
   * @returns {T}
   */
  #convert(part) {
    try {
      // A character may be cut by the end of a part.
      if (this.#as == 'text') return /** @type {T} */ (this.#text.decode(part, { stream: true }));
      return /** @type {T} */ (this.#as == 'json' ? JSON.parse(textOf(part)) : part);
    } catch (error) {
      this.cancel();
      throw error;
    }
  }
}
