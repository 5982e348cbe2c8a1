/** Connections end and come back; pages need do nothing for it. */

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import { Watch, launchChromium } from './support/chromium.js';
import { startDaemon } from './support/daemon.js';
import { peerPage, show } from './support/pages.js';

/** @type {import('./support/daemon.js').Daemon} */
let daemon;
/** @type {import('./support/chromium.js').Browser} */
let browser;

before(async () => {
  daemon = await startDaemon({ SWITCHBOARD_GOTALK_HEARTBEAT_INTERVAL: '200ms' });
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await daemon?.end();
});

/**
 * A page that serves `back.greet`, and is subscribed to `back/#`.
 * @param {import('node:test').TestContext} t
 * @param {string} [script] more of it
 */
async function servingPage(t, script = '') {
  const context = await browser.newContext();
  const watch = new Watch(context, daemon.origin);
  t.after(() => context.close());
  const page = await context.newPage();
  const html = peerPage(
    '/gotalk/gotalk.js',
    `noted.got = [];
    noted.states = [];
    sock.on('state', (state) => noted.states.push(state));
    sock.hub.serve({ 'back.greet': ({ name }) => 'Hello ' + name }).then(() => (noted.serves = true));
    sock.hub.subscribe('back/#', (message) => noted.got.push(message.text())).then(() => (noted.subscribed = true));
    ${script}`,
  );
  await show(page, daemon.origin, html);
  await page.waitForFunction(() => noted.serves && noted.subscribed);
  return { page, context, watch };
}

/** It answers a call, and gets what is published. @param {import('./support/chromium.js').Page} page @param {string} text */
async function isBack(page, text) {
  assert.equal(await daemon.succeed(['call', 'back.greet', '{"name":"x"}']), '"Hello x"');
  await daemon.succeed(['publish', 'back/news', text]);
  await page.waitForFunction((text) => noted.got.includes(text), text);
}

test('the daemon is killed and started again: the page is back, serving and subscribed', async (t) => {
  const { page, watch } = await servingPage(t);
  await isBack(page, 'before');
  await daemon.kill();
  await page.waitForFunction(() => sock.state === 'waiting');
  // What is asked meanwhile is answered when there is somebody to ask.
  await page.evaluate(() => {
    noted.meanwhile = sock.hub.publish('back/meanwhile', 'patience');
  });
  await daemon.start();
  await page.waitForFunction(() => sock.state === 'open');
  await isBack(page, 'after');
  assert.deepEqual(await page.evaluate(() => noted.meanwhile), { subscriptions: 1 });
  assert.deepEqual(await page.evaluate(() => noted.got), ['before', 'patience', 'after']);
  const states = await page.evaluate(() => noted.states);
  assert.deepEqual([...new Set(states)], ['open', 'waiting', 'connecting']);
  watch.clean(/WebSocket connection to|Error in connection establishment/);
});

test('the network goes and comes back: so does the page', async (t) => {
  const { page, context } = await servingPage(t, 'sock.readTimeout = 1000; sock.on("heartbeat", () => (noted.beaten = true));');
  await isBack(page, 'before');
  // Only one who sends heartbeats is missed.
  await page.waitForFunction(() => noted.beaten);
  await context.setOffline(true);
  // Nobody says that it is gone: it is noticed, as nothing comes any more.
  await page.waitForFunction(() => sock.state === 'waiting' || sock.state === 'connecting');
  await context.setOffline(false);
  await page.waitForFunction(() => sock.state === 'open');
  await isBack(page, 'after');
});

test('the network is away but for a moment: nothing is lost', async (t) => {
  const { page, context } = await servingPage(t);
  await context.setOffline(true);
  await page.evaluate(() => {
    noted.who = sock.hub.whoami();
  });
  await daemon.succeed(['publish', 'back/news', 'while away']);
  await context.setOffline(false);
  await page.waitForFunction(() => noted.got.includes('while away'));
  assert.equal((await page.evaluate(() => noted.who)).door, 'websocket');
  assert.deepEqual(await page.evaluate(() => noted.states), ['open']);
});

test('a connection that is ended stays so', async (t) => {
  const { page, watch } = await servingPage(t);
  await page.evaluate(() => sock.end());
  await page.waitForFunction(() => sock.state === 'closed');
  assert.equal((await daemon.run(['call', 'back.greet', '{}', '--timeout', '1s'])).code !== 0, true);
  assert.deepEqual(await page.evaluate(() => noted.states), ['open', 'ending', 'closed']);
  watch.clean();
});
