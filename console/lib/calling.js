/**
 * One call, from the first try to its end: what is answered, part by part, and again when the other side asks for that.
 * @module
 */

import { sock } from './hub.js';

/**
 * @typedef {object} Told
 * @property {(part: Uint8Array) => void} part of the answer; a single answer is one part, an empty one none
 * @property {(waitMs: number, message: string, tries: number) => void} waits asked to come again: how long from now, in
 *   the other side's words, after so many tries
 * @property {() => void} tries it goes out, again if it has waited
 * @property {(end: End) => void} ends
 *
 * @typedef {{ kind: 'answered' | 'cancelled' | 'failed', message: string, tries: number }} End
 *
 * @typedef {object} Calling
 * @property {() => void} cancel gives it up; the responder is told
 * @property {() => void} now does not wait any longer
 */

/** A call is made so often at most. */
export const TRIES_MAX = 8;

/** The least wait before a try, in milliseconds, whatever the other side asks for. */
const WAIT_MS_MIN = 250;

/**
 * @param {string} op
 * @param {string} body
 * @param {number} timeoutMs of each try; 0 leaves it to the hub
 * @param {Told} told
 * @returns {Calling}
 */
export function call(op, body, timeoutMs, told) {
  const aborter = new AbortController();
  const { signal } = aborter;
  let tries = 0;
  let over = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {End['kind']} kind */
  const end = (kind, message = '') => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    told.ends({ kind, message, tries });
  };

  const attempt = async () => {
    clearTimeout(timer);
    timer = undefined;
    tries++;
    told.tries();
    let parts = 0;
    try {
      const options = timeoutMs ? { signal, timeout: timeoutMs } : { signal };
      for await (const part of sock.stream(op, body, options)) {
        parts++;
        told.part(part);
      }
      end('answered');
    } catch (error) {
      failed(/** @type {any} */ (error), parts);
    }
  };

  /**
   * @param {{ message?: string, name?: string, retry?: boolean, waitMs?: number, closed?: boolean }} error
   * @param {number} parts that had come
   */
  const failed = (error, parts) => {
    if (signal.aborted) return end('cancelled');
    if (error?.closed && tries) return end('failed', 'The connection was lost: what became of the call is not known.');
    if (!error?.retry || parts || tries >= TRIES_MAX) return end('failed', error?.message || 'It failed.');
    const waitMs = Math.max(error.waitMs ?? 0, WAIT_MS_MIN);
    timer = setTimeout(attempt, waitMs);
    told.waits(waitMs, error.message ?? '', tries);
  };

  void attempt();
  return {
    cancel() {
      aborter.abort(new DOMException('cancelled', 'AbortError'));
      end('cancelled');
    },
    now() {
      if (timer !== undefined) void attempt();
    },
  };
}
