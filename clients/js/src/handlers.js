/**
 * What a program answers, and listens to.
 * @module
 */

/**
 * How a handler answers. Call it with the result; or write a stream; or say what went wrong.
 * @typedef {((value?: any) => void) & Answering} Result
 *
 * @typedef {object} Answering
 * @property {(error: unknown) => void} error fails the call; an Error by its message, anything else as a string
 * @property {(waitMs: number, message?: string) => void} retry fails the call for now
 * @property {(part: any) => Promise<void>} write sends a part of a streamed result, and waits until there is room
 * @property {() => void} end ends a streamed result
 * @property {AbortSignal} signal aborted when the caller gives the call up, its deadline has passed, or it is gone
 * @property {Caller | null} from who calls, if the hub was asked to say that
 * @property {number | null} deadline when the caller stops waiting, as `Date.now()` has it
 * @property {string} op the operation
 *
 * @typedef {object} Caller what the hub says of a call
 * @property {string} [account]
 * @property {string} [door] that it came in by: `gotalk`, `http`, …
 * @property {string} [address]
 * @property {string} operation
 * @property {boolean} stream whether the caller streams its body
 * @property {number} [deadline_ms] how long the caller still waited when the call was handed on; absent if for ever
 * @property {string} [content_type] what a caller over HTTP says that its body is
 */

/**
 * Answers by `result`, or by what it returns: a promise, an async iterable of parts for a streamed result, or, if it
 * takes no `result`, the value. One that takes `result` may answer at any later time, so what it returns counts only if
 * it is a promise of a value or an iterable.
 * @callback RequestHandler
 * @param {any} params what the caller sent; for `handleStreamRequest` an async iterable of its parts
 * @param {Result} result
 * @param {string} op
 * @returns {any}
 */

/**
 * @callback NotificationHandler
 * @param {any} value
 * @param {string} name
 * @returns {any}
 */

/**
 * What a handler takes and gives: JSON values, bytes, or a stream of bytes.
 * @typedef {'json' | 'bytes' | 'stream'} Kind
 */

/**
 * @typedef {object} Entry
 * @property {Kind} kind
 * @property {RequestHandler & NotificationHandler} handler
 * @property {number} takes how many arguments: 1 can answer by returning only, 0 may take its arguments otherwise
 */

/** Handlers by name. Every name is possible; the one under `''` takes what no other does. */
export class Handlers {
  /** @type {Map<string, Entry>} @internal */
  _requests = new Map();
  /** @type {Map<string, Entry>} @internal */
  _notifications = new Map();

  /**
   * Answers `op`, with JSON values.
   * @param {string} op
   * @param {RequestHandler | null} handler null takes it away, here and below
   */
  handleRequest = (op, handler) => put(this._requests, op, 'json', handler);

  /**
   * Answers `op`, with bytes.
   * @param {string} op
   * @param {RequestHandler | null} handler
   */
  handleBufferRequest = (op, handler) => put(this._requests, op, 'bytes', handler);

  /**
   * Answers `op` while its parts come in: `params` is an async iterable of bytes, also if the caller sends but one.
   * @param {string} op
   * @param {RequestHandler | null} handler
   */
  handleStreamRequest = (op, handler) => put(this._requests, op, 'stream', handler);

  /**
   * Answers `op` by what the handler returns, whatever it is, with JSON values: the handler need not take the
   * `result`, and if it does, then for what is known of the call.
   * @param {string} op
   * @param {RequestHandler | null} handler
   */
  serve = (op, handler) => put(this._requests, op, 'json', handler, 1);

  /**
   * Listens to notifications, with JSON values; what is no JSON comes as a string.
   * @param {string} name
   * @param {NotificationHandler | null} handler
   */
  handleNotification = (name, handler) => put(this._notifications, name, 'json', handler);

  /**
   * Listens to notifications, with bytes.
   * @param {string} name
   * @param {NotificationHandler | null} handler
   */
  handleBufferNotification = (name, handler) => put(this._notifications, name, 'bytes', handler);

  /**
   * @param {string} op
   * @returns {RequestHandler | undefined} its handler, or the one for all others
   */
  findRequestHandler(op) {
    return find(this._requests, op)?.handler;
  }

  /**
   * @param {string} name
   * @returns {NotificationHandler | undefined} its handler, or the one for all others
   */
  findNotificationHandler(name) {
    return find(this._notifications, name)?.handler;
  }
}

/**
 * @param {Map<string, Entry>} entries
 * @param {string} name
 */
export const find = (entries, name) => entries.get(name) ?? entries.get('');

/**
 * @param {Map<string, Entry>} entries
 * @param {string} name
 * @param {Kind} kind
 * @param {RequestHandler | NotificationHandler | null} handler
 * @param {number} [takes]
 */
const put = (entries, name, kind, handler, takes) => {
  if (handler) entries.set(name, { kind, handler: /** @type {any} */ (handler), takes: takes ?? handler.length });
  else entries.delete(name);
};
