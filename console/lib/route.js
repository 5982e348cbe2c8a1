/**
 * Where in the console we are: the hash of the address, as in `#/call/greet`.
 * @module
 */

import { Value } from './value.js';

/**
 * @typedef {object} Route
 * @property {string} view
 * @property {string} rest what comes after the view's name: an operation, a room; may be empty
 */

/** @type {Value<Route>} */
export const route = new Value(read());

addEventListener('hashchange', () => route.set(read()));

/**
 * @param {string} view
 * @param {string} [rest]
 * @returns {string} for a link
 */
export function hrefOf(view, rest = '') {
  return `#/${view}${rest && `/${encodeURIComponent(rest)}`}`;
}

/**
 * Names what is shown already, without a step back to before.
 * @param {string} view
 * @param {string} rest
 */
export function rename(view, rest) {
  history.replaceState(null, '', hrefOf(view, rest));
}

/** @returns {Route} */
function read() {
  const [, view = '', rest = ''] = /^#\/?([^/]*)\/?(.*)$/.exec(location.hash) ?? [];
  return { view, rest: decoded(rest) };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
