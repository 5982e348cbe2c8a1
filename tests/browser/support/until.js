/**
 * Waiting for something to become true.
 * @module
 */

/** Longer than anything here should take, in milliseconds: a busy machine is slow. */
export const PATIENCE_MS = 20_000;

/** Between two looks, in milliseconds. */
const LOOK_MS = 20;

/**
 * @template T
 * @param {string} what for the message
 * @param {() => T | Promise<T>} look until it finds something
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(what, look) {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return /** @type {NonNullable<T>} */ (found);
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
