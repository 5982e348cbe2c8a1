/**
 * The rests between tries.
 * @module
 */

/** The rest before the second try to connect, in milliseconds. */
const FIRST_MS = 500;

/** The longest rest, in milliseconds; also how long a connection must have lasted for the rests to begin anew. */
const MAX_MS = 5000;

/**
 * Doubles with each try up to 5 seconds. Each is shortened at random by up to half, so that all who lost one server do
 * not come back together.
 * @param {number} firstMs
 * @param {number} made tries before
 * @returns {number} milliseconds
 */
export const restMs = (firstMs, made) => Math.min(firstMs * 2 ** made, MAX_MS) * (1 - Math.random() / 2);

/** 500, 1000, 2000, 4000, 5000, 5000 … milliseconds, and at once after a time-out. */
export const createBackOff = () => {
  let failures = 0;
  let wasAtOnce = false;

  /**
   * @param {number} lastedMs how long the connection that was lost had been open; 0 if it never was
   * @param {boolean} timedOut whether it was lost by a time-out
   * @returns {number} milliseconds before the next try
   */
  return (lastedMs, timedOut) => {
    if (lastedMs >= MAX_MS) {
      failures = 0;
      wasAtOnce = false;
    }
    // Not over and over: a server may time out everybody.
    wasAtOnce = timedOut && lastedMs > 0 && !wasAtOnce;
    return wasAtOnce ? 0 : restMs(FIRST_MS, failures++);
  };
};
