/**
 * A value that can be watched.
 * @module
 */

/** @template T */
export class Value {
  #value;
  /** @type {Set<(value: T) => void>} */
  #watchers = new Set();

  /** @param {T} value */
  constructor(value) {
    this.#value = value;
  }

  get() {
    return this.#value;
  }

  /** @param {T} value its watchers are told, also if it is the same */
  set(value) {
    this.#value = value;
    for (const watcher of this.#watchers) watcher(value);
  }

  /**
   * @param {(value: T) => void} watcher told at once, and of every change
   * @returns {() => void} ends it
   */
  watch(watcher) {
    this.#watchers.add(watcher);
    watcher(this.#value);
    return () => this.#watchers.delete(watcher);
  }
}
