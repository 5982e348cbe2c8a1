/** Pages of other origins: refused, unless they were configured. */

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import { launchChromium } from './support/chromium.js';
import { startDaemon } from './support/daemon.js';
import { peerPage, site } from './support/pages.js';
import { until } from './support/until.js';

/** @type {Awaited<ReturnType<typeof site>>} */
let trusted;
/** @type {Awaited<ReturnType<typeof site>>} */
let foreign;
/** @type {import('./support/daemon.js').Daemon} */
let daemon;
/** @type {import('./support/chromium.js').Browser} */
let browser;

before(async () => {
  [trusted, foreign] = await Promise.all([site(), site()]);
  const environment = { SWITCHBOARD_HTTP_ORIGINS: JSON.stringify([trusted.origin]) };
  [daemon, browser] = await Promise.all([startDaemon(environment), launchChromium()]);
  for (const { page } of [trusted, foreign]) page(peerPage(`${daemon.origin}/gotalk/gotalk.js`));
});
after(async () => {
  await browser?.close();
  await daemon?.end();
  trusted?.end();
  foreign?.end();
});

/**
 * @param {import('node:test').TestContext} t
 * @param {{ origin: string }} site
 */
async function open(t, { origin }) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(origin);
  return page;
}

test('a page of a foreign origin is refused, and the log says what to configure', async (t) => {
  const program = await daemon.program();
  let calls = 0;
  await program.hub.serve({ 'guarded.op': () => ++calls });
  const page = await open(t, foreign);
  await page.evaluate(() => {
    noted.opened = false;
    sock.on('open', () => (noted.opened = true));
    return new Promise((resolve) => gotalk.open(sock.address(), (error) => resolve(String(error))));
  });
  const line = await until('the log', () => daemon.log.split('\n').find((line) => line.includes(foreign.origin)));
  assert.match(line, /origins/);

  for (const [path, method] of [
    ['/call/guarded.op', 'POST'],
    ['/publish/guarded/topic', 'POST'],
    ['/subscribe?topic=guarded/%23', 'GET'],
    ['/call/hub.ops', 'GET'],
  ]) {
    const seen = await page.evaluate(
      ([url, method]) => fetch(url, { method }).then((answer) => answer.status, (error) => error.name),
      [daemon.origin + path, method],
    );
    assert.equal(seen, 'TypeError', path);
  }
  // What is sent without asking, as forms are, is not carried out either.
  await page.evaluate((url) => fetch(url, { method: 'POST', mode: 'no-cors', body: 'x' }), `${daemon.origin}/call/guarded.op`);
  assert.equal(calls, 0);
  assert.deepEqual(await page.evaluate(() => [noted.opened, sock.state === 'open']), [false, false]);
});

test('a page that says no origin is refused', async (t) => {
  const page = await open(t, foreign);
  const state = await page.evaluate(async (url) => {
    const frame = document.createElement('iframe');
    frame.sandbox.add('allow-scripts');
    const end = '</' + 'script>';
    frame.srcdoc = `<script>
      const socket = new WebSocket('${url}');
      socket.onopen = () => parent.postMessage('open', '*');
      socket.onerror = () => parent.postMessage('refused', '*');
    ${end}`;
    const told = new Promise((resolve) => addEventListener('message', (event) => resolve(event.data)));
    document.body.append(frame);
    return told;
  }, daemon.webSocket);
  assert.equal(state, 'refused');
  await until('the log', () => daemon.log.includes('null'));
});

test('a page of a configured origin is a peer', async (t) => {
  const page = await open(t, trusted);
  await page.waitForFunction(() => sock.state === 'open');
  await page.evaluate(() => sock.hub.serve({ 'elsewhere.greet': ({ name }) => `Hello ${name}` }));
  assert.equal(await daemon.succeed(['call', 'elsewhere.greet', '{"name":"x"}']), '"Hello x"');
  const fetched = await page.evaluate(
    (url) => fetch(url, { method: 'POST', body: '{"name":"y"}', headers: { 'Content-Type': 'application/json' } }).then((answer) => answer.json()),
    `${daemon.origin}/call/elsewhere.greet`,
  );
  assert.equal(fetched, 'Hello y');
});

test('the console cannot be framed by another page', async (t) => {
  const page = await open(t, trusted);
  const refused = page.waitForEvent('console', (message) => message.text().includes('frame-ancestors'));
  await page.evaluate((src) => {
    document.body.append(Object.assign(document.createElement('iframe'), { src }));
  }, `${daemon.origin}/`);
  await refused;
});
