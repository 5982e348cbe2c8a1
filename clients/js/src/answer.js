/**
 * One request of the other side, from its handler's view.
 * @module
 */

import { hex, toBytes } from './bytes.js';
import { CallError, report, timedOut } from './errors.js';
import { settings } from './settings.js';

/** Mistakes in the program: their words are not for the caller. */
const MISTAKE = /^(Type|Reference|Range|Syntax)Error$/;

/** The longest that timers can wait, in milliseconds: 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** @typedef {ReturnType<typeof createAnswer>} Answer */

/**
 * @param {import('./connection.js').Connection} connection
 * @param {import('./decoder.js').Message} request
 * @param {import('./handlers.js').Kind | undefined} kind of the handler
 * @param {(reason?: unknown) => void} answered told once: the answer is on its way, or, with a reason, not wanted
 */
export const createAnswer = (connection, { id, name: op }, kind, answered) => {
  const aborter = new AbortController();
  let done = false;
  let streaming = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {unknown} [reason] why nobody waits for it any more */
  const over = (reason) => {
    if (done) return;
    done = true;
    clearTimeout(timer);
    if (reason) aborter.abort(reason);
    answered(reason);
  };

  /**
   * @param {string} t
   * @param {unknown} data
   * @param {string} [fields]
   */
  const finish = (t, data, fields = '') => {
    if (!done) connection.send(t, id, null, fields, data);
    over();
  };

  /** @param {unknown} error in the words of the program, for the caller */
  const fail = (error) => {
    const text = error instanceof Error ? error.message : String(error);
    if (error instanceof CallError && error.retry) finish('e', text, hex(error.waitMs, 8));
    else finish('E', text);
  };

  /**
   * The handler threw, or its promise was rejected.
   * @param {any} error
   * @param {boolean} [internal] whether its words are not for the caller
   */
  const failed = (error, internal) => {
    const mistake = internal || MISTAKE.test(error?.name);
    if (mistake) report(error);
    fail(mistake && !settings.developmentMode ? 'internal error' : error);
  };

  /**
   * @param {unknown} value
   * @param {(data: unknown) => void} use
   */
  const encoded = (value, use) => {
    try {
      use(kind == 'json' ? JSON.stringify(value) : value);
    } catch (error) {
      failed(error);
    }
  };

  /** @param {unknown} part */
  const write = (part) => {
    streaming = true;
    encoded(part, (data) => {
      // An empty part would end the stream.
      if (!done && toBytes(data).length) connection.send('S', id, null, '', data);
    });
    return connection.room();
  };

  const end = () => finish('S', null);

  /** What the handler gets. @type {import('./handlers.js').Result} */
  const result = Object.assign(
    (/** @type {unknown} */ value) => {
      if (streaming) {
        write(value);
        end();
      } else encoded(value, (data) => finish('R', data));
    },
    {
      op,
      signal: aborter.signal,
      from: null,
      deadline: null,
      write,
      end,
      error: fail,
      retry: (/** @type {number} */ waitMs, message = 'busy') =>
        fail(new CallError(message, { retry: true, waitMs })),
    },
  );

  return {
    id,
    result,
    fail,
    failed,
    over,

    /** @returns {boolean} whether nothing more can be said */
    isDone: () => done,

    /**
     * Takes note of what the hub says about the call.
     * @param {any} description
     */
    describe(description) {
      const { deadline_ms: ms } = description;
      result.from = description;
      if (!(ms < TIMER_MS_MAX)) return;
      result.deadline = Date.now() + ms;
      timer = setTimeout(() => over(timedOut()), ms);
    },
  };
};
