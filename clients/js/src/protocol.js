/**
 * gotalk v1 as constants.
 * @module
 */

/** What each side says first: protocol version 1. */
export const VERSION = '01';

/** Most bytes of the name of an operation or a notification: what three hexadecimal digits can say. */
export const NAME_BYTES_MAX = 0xfff;

/**
 * The WebSocket sub-protocol of peers that read the frames as one stream of bytes, so that several messages may share
 * a frame.
 */
export const SUBPROTOCOL = 'switchboard.1';

/** The notification by which a hub is told, or tells, that a call is given up. */
export const CANCEL = 'hub.cancel';

/** WebSocket close code of a conversation that ended well. */
export const CLOSE_NORMAL = 1000;

/** WebSocket close code of protocol error 0; the others follow it. */
export const CLOSE_ERROR = 4000;

/** @typedef {{}} Encoding how messages were put into WebSocket frames by the original: it makes no difference any more */

/** What pages written for the original look up. */
export const protocol = {
  Version: 1,
  ErrorAbnormal: 0,
  ErrorUnsupported: 1,
  ErrorInvalidMsg: 2,
  ErrorTimeout: 3,
  /** @type {Encoding} */
  binary: {},
  /** @type {Encoding} */
  text: {},
};
