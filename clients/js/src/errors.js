/**
 * What can go wrong: with the connection, and with one call.
 * @module
 */

/**
 * The conversation was broken off: one of {@link ErrAbnormal}, {@link ErrUnsupported}, {@link ErrInvalidMsg} and
 * {@link ErrTimeout}.
 * @typedef {Error & { isGotalkProtocolError: true, code: number }} ProtocolError
 */

/**
 * @param {string} message
 * @param {number} code as on the wire
 * @returns {ProtocolError}
 */
const protocolError = (message, code) =>
  Object.assign(new Error(message), { isGotalkProtocolError: /** @type {true} */ (true), code });

/** The other side gave up for a reason of its own. */
export const ErrAbnormal = protocolError('abnormal condition', 0);
/** The two sides speak different versions. */
export const ErrUnsupported = protocolError('unsupported protocol', 1);
/** Something was sent that is no message. */
export const ErrInvalidMsg = protocolError('invalid protocol message', 2);
/** A side was silent for too long. */
export const ErrTimeout = protocolError('timeout', 3);

/**
 * @param {number} code of a protocol error, from either side
 * @returns {ProtocolError}
 */
export const errorOfCode = (code) =>
  [ErrAbnormal, ErrUnsupported, ErrInvalidMsg, ErrTimeout][code] ?? ErrInvalidMsg;

/** Why a call failed. */
export class CallError extends Error {
  /**
   * @param {string} message the other side's words, if it answered
   * @param {{ retry?: boolean, waitMs?: number, closed?: boolean }} [more]
   */
  constructor(message, { retry = false, waitMs = 0, closed = false } = {}) {
    super(message);
    this.name = 'CallError';
    /** Whether the same call may work later; then not before `waitMs`. */
    this.retry = retry;
    /** How long to wait before trying again, in milliseconds. */
    this.waitMs = waitMs;
    /** Whether the connection is gone: what became of the call is not known. */
    this.closed = closed;
  }
}

/** The failure of a call whose connection is gone, or never was. */
export const closedError = (message = 'connection closed') => new CallError(message, { retry: true, closed: true });

/** A call's time is over. */
export const timedOut = () => new DOMException('timed out', 'TimeoutError');

/**
 * Tells of a failure in the program's own code, which must not harm the connection.
 * @param {unknown} error
 */
export const report = (error) => {
  // Browsers show it as uncaught, where developers look for it.
  const show = /** @type {any} */ (globalThis).reportError ?? console.error;
  show(error);
};

/**
 * Runs the program's own code, whose failure, now or later, harms nobody else.
 * @param {() => any} callback
 */
export const guarded = (callback) => {
  try {
    const done = callback();
    if (typeof done?.then == 'function') done.then(null, report);
  } catch (error) {
    report(error);
  }
};
