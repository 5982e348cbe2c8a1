/**
 * Events, by the method names of Node's emitter.
 * @module
 */

import { guarded } from './errors.js';

/** @typedef {((...args: any[]) => unknown) & { listener?: Listener }} Listener */

export class Emitter {
  /** @type {Map<string, Listener[]>} */
  #listeners = new Map();

  /**
   * @param {string} event
   * @param {Listener} listener
   * @returns {this}
   */
  on(event, listener) {
    // A new array each time: a listener may add and remove others while they are called.
    this.#listeners.set(event, [...this.#of(event), listener]);
    return this;
  }

  /**
   * @param {string} event
   * @param {Listener} listener
   * @returns {this}
   */
  addListener(event, listener) {
    return this.on(event, listener);
  }

  /**
   * @param {string} event
   * @param {Listener} listener called once, then removed
   * @returns {this}
   */
  once(event, listener) {
    /** @type {Listener} */
    const once = (...args) => {
      this.removeListener(event, once);
      return listener.apply(this, args);
    };
    once.listener = listener;
    return this.on(event, once);
  }

  /**
   * @param {string} event
   * @param {Listener} listener
   * @returns {this}
   */
  removeListener(event, listener) {
    const all = this.#of(event);
    const at = all.findIndex((one) => one == listener || one.listener == listener);
    this.#listeners.set(event, all.filter((_, index) => index != at));
    return this;
  }

  /**
   * @param {string} [event] all of them if not given
   * @returns {this}
   */
  removeAllListeners(event) {
    if (event === undefined) this.#listeners.clear();
    else this.#listeners.delete(event);
    return this;
  }

  /**
   * @param {string} event
   * @returns {Listener[]} a copy
   */
  listeners(event) {
    return this.#of(event).map((one) => one.listener ?? one);
  }

  /**
   * Calls the listeners in order. One that throws is reported, and harms no other.
   * @param {string} event
   * @param {...any} args
   * @returns {boolean} whether there was one
   */
  emit(event, ...args) {
    const all = this.#of(event);
    for (const one of all) guarded(() => one.apply(this, args));
    return all.length > 0;
  }

  /** @param {string} event */
  #of(event) {
    return this.#listeners.get(event) ?? [];
  }
}
