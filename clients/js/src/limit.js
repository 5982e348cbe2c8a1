/**
 * Deadlines and cancellation.
 * @module
 */

import { timedOut } from './errors.js';

/**
 * @typedef {object} CallOptions
 * @property {AbortSignal} [signal] gives the call up
 * @property {number} [timeout] milliseconds within which the answer must be there, retries included
 * @property {number} [retries] how often a call is made again that the other side asks to retry; `sock.retries` if not
 *   given. 0 hands out the error, with `retry` and `waitMs`
 * @property {number} [retryTime] milliseconds after the first try in which others begin; `sock.retryTime` if not given
 */

/**
 * @param {CallOptions} options
 * @param {(reason: unknown) => void} stop told when the call is to be given up
 * @returns {() => void} to be called when the call is over
 */
export const limit = ({ signal, timeout }, stop) => {
  const aborted = () => stop(signal?.reason);
  const timer = timeout && setTimeout(() => stop(timedOut()), timeout);
  signal?.addEventListener('abort', aborted);
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', aborted);
  };
};
