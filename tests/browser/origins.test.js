/** Pages of other origins: refused, unless they were configured. */

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import { launchChromium, openPage } from './support/chromium.js';
import { startAmongOrigins } from './support/origins.js';
import { until } from './support/until.js';

/** @type {import('./support/origins.js').Origins} */
let origins;
/** @type {import('./support/chromium.js').Browser} */
let browser;

before(async () => {
  origins = await startAmongOrigins();
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await origins?.end();
});

test('a page of a foreign origin is refused, and the log says what to configure', async (t) => {
  const program = await origins.daemon.program();
  let calls = 0;
  await program.hub.serve({ 'guarded.op': () => ++calls });
  const page = await openPage(t, browser, origins.foreign.origin);
  await page.evaluate(() => {
    noted.opened = false;
    sock.on('open', () => (noted.opened = true));
    return new Promise((resolve) => gotalk.open(sock.address(), (error) => resolve(String(error))));
  });
  const line = await until('the log', () => origins.daemon.log.split('\n').find((line) => line.includes(origins.foreign.origin)));
  assert.match(line, /origins/);

  for (const [path, method] of [
    ['/call/guarded.op', 'POST'],
    ['/publish/guarded/topic', 'POST'],
    ['/subscribe?topic=guarded/%23', 'GET'],
    ['/call/hub.ops', 'GET'],
  ]) {
    const seen = await page.evaluate(
      ([url, method]) => fetch(url, { method }).then((answer) => answer.status, (error) => error.name),
      [origins.daemon.origin + path, method],
    );
    assert.equal(seen, 'TypeError', path);
  }
  // What is sent without asking, as forms are, is not carried out either.
  await page.evaluate((url) => fetch(url, { method: 'POST', mode: 'no-cors', body: 'x' }), `${origins.daemon.origin}/call/guarded.op`);
  assert.equal(calls, 0);
  assert.deepEqual(await page.evaluate(() => [noted.opened, sock.state === 'open']), [false, false]);
});

test('a page that says no origin is refused', async (t) => {
  const page = await openPage(t, browser, origins.foreign.origin);
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
  }, origins.daemon.webSocket);
  assert.equal(state, 'refused');
  await until('the log', () => origins.daemon.log.includes('null'));
});

test('a page of a configured origin is a peer', async (t) => {
  const page = await openPage(t, browser, origins.trusted.origin);
  await page.waitForFunction(() => sock.state === 'open');
  await page.evaluate(() => sock.hub.serve({ 'elsewhere.greet': ({ name }) => `Hello ${name}` }));
  assert.equal(await origins.daemon.succeed(['call', 'elsewhere.greet', '{"name":"x"}']), '"Hello x"');
  const fetched = await page.evaluate(
    (url) => fetch(url, { method: 'POST', body: '{"name":"y"}', headers: { 'Content-Type': 'application/json' } }).then((answer) => answer.json()),
    `${origins.daemon.origin}/call/elsewhere.greet`,
  );
  assert.equal(fetched, 'Hello y');
});

test('the console cannot be framed by another page', async (t) => {
  const page = await openPage(t, browser, origins.trusted.origin);
  const refused = page.waitForEvent('console', (message) => message.text().includes('frame-ancestors'));
  await page.evaluate((src) => {
    document.body.append(Object.assign(document.createElement('iframe'), { src }));
  }, `${origins.daemon.origin}/`);
  await refused;
});
