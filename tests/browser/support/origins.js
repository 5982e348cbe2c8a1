/**
 * A daemon among pages that come from elsewhere.
 * @module
 */

import { startDaemon } from './daemon.js';
import { peerPage, site } from './pages.js';

/** @typedef {Awaited<ReturnType<typeof startAmongOrigins>>} Origins */

/** A daemon, a site that it trusts, and a foreign one; both have the same page, which connects to the daemon. */
export async function startAmongOrigins() {
  const [trusted, foreign] = await Promise.all([site(), site()]);
  const daemon = await startDaemon({ SWITCHBOARD_HTTP_ORIGINS: JSON.stringify([trusted.origin]) });
  for (const { page } of [trusted, foreign]) page(peerPage(`${daemon.origin}/gotalk/gotalk.js`));
  return {
    daemon,
    trusted,
    foreign,
    async end() {
      await daemon.end();
      trusted.end();
      foreign.end();
    },
  };
}
