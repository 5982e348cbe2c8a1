/**
 * Wires that can hold the other side up while the reader of a stream is far behind.
 * @module
 */

/** Bytes of one stream that its reader has not taken, over which the wire is not read. */
const PAUSE_BYTES = 1 << 20;

/** Below so many it is read again. */
const RESUME_BYTES = PAUSE_BYTES / 2;

/** The longest that timers can wait, in milliseconds. */
const STALL_MS_MAX = 2 ** 31 - 1;

/**
 * What a wire needs for that: see {@link import('../outbox.js').Wire}.
 * @param {{ pause: () => void, resume: () => void }} wire
 */
export const holdingUp = (wire) => {
  /** @type {Map<import('../parts.js').Parts<any>, NodeJS.Timeout>} by stream, when it fails */
  const full = new Map();
  return {
    /** @type {boolean} whether the wire is not read */
    get paused() {
      return full.size > 0;
    },

    /**
     * @param {import('../parts.js').Parts<any>} parts
     * @param {number} stallMs how long others may be held up for it
     */
    weigh(parts, stallMs) {
      const timer = full.get(parts);
      if (timer === undefined && parts.bytes > PAUSE_BYTES) {
        const stalled = setTimeout(() => parts._fail(new Error('not read in time')), stallMs || STALL_MS_MAX);
        full.set(parts, stalled.unref());
        wire.pause();
      } else if (timer !== undefined && parts.bytes < RESUME_BYTES) {
        clearTimeout(timer);
        full.delete(parts);
        if (!full.size) wire.resume();
      }
    },
  };
};
