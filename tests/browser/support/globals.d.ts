export {};

declare global {
  /** What `/gotalk/gotalk.js` defines in the pages. */
  var gotalk: typeof import('../../../clients/js/src/gotalk.js').default;
  /** The connection of a page in `support/pages.js`. */
  var sock: import('../../../clients/js/src/gotalk.js').Sock;
  /** What a page wrote down. */
  var noted: Record<string, any>;
}
