/** The same in another engine: what matters most. */

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import { launchFirefox, openPage } from './support/firefox.js';
import { startAmongOrigins } from './support/origins.js';

/** @type {import('./support/origins.js').Origins} */
let origins;
/** @type {import('puppeteer-core').Browser} */
let browser;

before(async () => {
  origins = await startAmongOrigins();
  browser = await launchFirefox();
});
after(async () => {
  await browser?.close();
  await origins?.end();
});

const CONNECTED = '::-p-xpath(//*[@role="status"][contains(., "Connected")])';

/** @param {import('./support/firefox.js').Page} page @param {string} text */
async function say(page, text) {
  await page.type('.composer textarea', text);
  await page.keyboard.press('Enter');
}

/** @param {import('./support/firefox.js').Page} page @param {string} text */
const heard = (page, text) =>
  page.waitForFunction((text) => [...document.querySelectorAll('.said .text')].some((one) => one.textContent === text), {}, text);

test('a page serves, a command calls it; the daemon is killed, and the page is back', async (t) => {
  const page = await openPage(t, browser, origins.trusted.origin);
  await page.waitForFunction(() => sock.state === 'open');
  await page.evaluate(async () => {
    noted.got = [];
    await sock.hub.serve({ greet: ({ name }) => ({ greeting: `Hello ${name}` }) });
    await sock.hub.subscribe('fox/#', (message) => noted.got.push(message.text()));
  });
  const isThere = async (/** @type {string} */ text) => {
    assert.deepEqual(JSON.parse(await origins.daemon.succeed(['call', 'greet', '{"name":"😀"}'])), { greeting: 'Hello 😀' });
    await origins.daemon.succeed(['publish', 'fox/news', text]);
    await page.waitForFunction((text) => noted.got.includes(text), {}, text);
  };
  await isThere('before');
  await origins.daemon.kill();
  await page.waitForFunction(() => sock.state === 'waiting');
  await origins.daemon.start();
  await page.waitForFunction(() => sock.state === 'open');
  await isThere('after');
});

test('streams of 10 MB each way', async (t) => {
  const program = await origins.daemon.program();
  program.handlers.handleStreamRequest('fox.cat', async function* (parts) {
    yield* parts;
  });
  await program.hub.serve('fox.cat');
  const page = await openPage(t, browser, origins.trusted.origin);
  const bytes = await page.evaluate(async () => {
    const body = (async function* () {
      for (let count = 0; count < 160; count++) yield new Uint8Array(64 << 10).fill(count);
    })();
    let bytes = 0;
    for await (const part of sock.stream('fox.cat', body)) bytes += part.length;
    return bytes;
  });
  assert.equal(bytes, 10 << 20);
});

test('a foreign page is refused', async (t) => {
  const page = await openPage(t, browser, origins.foreign.origin);
  const error = await page.evaluate(() => new Promise((resolve) => gotalk.open(null, (error) => resolve(String(error)))));
  assert.match(String(error), /Error/);
});

test('the console: an operation is called, two tabs chat, and both are back after the daemon was killed', async (t) => {
  const program = await origins.daemon.program();
  await program.hub.serve({ 'fox.upper': (text) => text.toUpperCase() });
  /** @type {string[]} */
  const faults = [];
  const one = await openPage(t, browser, `${origins.daemon.origin}/#/call/fox.upper`, { faults });
  await one.waitForSelector(CONNECTED);
  await one.type('textarea[name=payload]', '"fox"');
  await one.click('.call button[type=submit]');
  await one.waitForSelector('::-p-text("FOX")');

  await one.goto(`${origins.daemon.origin}/#/chat/den`);
  const two = await openPage(t, browser, `${origins.daemon.origin}/#/chat/den`, { faults });
  await Promise.all([one, two].map((page) => page.waitForSelector(CONNECTED)));
  await say(one, 'Who is there?');
  await heard(two, 'Who is there?');
  await say(two, 'A fox 🦊');
  await heard(one, 'A fox 🦊');
  assert.deepEqual(faults, []);

  await origins.daemon.kill();
  await one.waitForSelector('::-p-text(Reconnecting…)');
  await origins.daemon.start();
  await Promise.all([one, two].map((page) => page.waitForSelector(CONNECTED)));
  await say(two, 'Back again');
  await heard(one, 'Back again');
});
