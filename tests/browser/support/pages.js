/**
 * Pages that are not part of the product.
 * @module
 */

import { createServer } from 'node:http';

/**
 * A page that has the library and a connection.
 * @param {string} library where `gotalk.js` is
 * @param {string} [script] what it does at first
 */
export const peerPage = (library, script = '') => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>A peer</title>
<script src="${library}"></script>
<script>
globalThis.noted = {};
globalThis.sock = gotalk.connection();
${script}
</script>
`;

/**
 * Shows a page as if the daemon had served it.
 * @param {import('playwright-core').Page} page
 * @param {string} origin of the daemon
 * @param {string} html
 */
export async function show(page, origin, html) {
  const url = `${origin}/test-page`;
  // A page that came from nowhere counts as one of the Internet, which must ask before it talks to this machine.
  await page.context().grantPermissions(['local-network-access'], { origin });
  await page.route(url, (route) => route.fulfill({ contentType: 'text/html; charset=utf-8', body: html }));
  await page.goto(url);
}

/**
 * Serves one page at an origin of its own.
 * @param {string} html
 * @returns {Promise<{ origin: string, page: (html: string) => void, end: () => void }>} `page` changes it
 */
export async function site(html = '') {
  const server = createServer((_, answer) => {
    answer.setHeader('Content-Type', 'text/html; charset=utf-8');
    answer.end(html);
  });
  // A test that failed to begin must not wait for it.
  server.unref();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(null)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    origin: `http://127.0.0.1:${port}`,
    page: (other) => (html = other),
    end: () => server.close(),
  };
}
