/**
 * Addresses to wires.
 * @module
 */

import { SUBPROTOCOL } from './protocol.js';

/**
 * @callback Dialer
 * @param {string} address
 * @param {string[]} protocols sub-protocols to offer
 * @param {object} options of the program, for the transport
 * @returns {import('./outbox.js').Wire}
 */

/**
 * By the address's scheme. Elsewhere than in browsers there are more.
 * @type {Record<string, Dialer>}
 */
export const dialers = {
  ws: (address, protocols) => new globalThis.WebSocket(address, protocols),
};

/** Where a page is, if this is one. */
const page = () => /** @type {Location | undefined} */ (globalThis.location);

/**
 * The whole address. `http` stands for `ws`; without a scheme it is a host or, with a leading slash, a path on the
 * page's host.
 * @param {string} address
 */
export const resolve = (address) => {
  if (address.includes('://')) return address.replace(/^http/, 'ws');
  const host = address[0] == '/' ? page()?.host : '';
  return `ws${page()?.protocol == 'https:' ? 's' : ''}://${host}${address}`;
};

/**
 * @param {string} address whole
 * @param {boolean} offer whether to offer our sub-protocol
 * @param {object} options
 * @throws {Error} if there is no such address
 */
export const dial = (address, offer, options) =>
  (dialers[address.split(':')[0]] ?? dialers.ws)(address, offer ? [SUBPROTOCOL] : [], options);

/**
 * Where the library came from, that is where a page's own server listens.
 * @returns {string} empty if this is no page
 */
export const ownAddress = () => {
  const script = /** @type {HTMLScriptElement | null | undefined} */ (globalThis.document?.currentScript)?.src;
  const own = script?.match(/^http(.*\/gotalk\/)gotalk\.js\b/);
  return own ? 'ws' + own[1] : page()?.host ? resolve('/gotalk/') : '';
};
