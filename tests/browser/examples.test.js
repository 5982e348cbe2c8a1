/** The pages of `examples/pages`, in both engines: without a daemon, and at a hub. */

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import { startDaemon } from './support/daemon.js';
import { ENGINES, fill, shows, texts } from './support/engines.js';
import { startExample } from './support/examples.js';
import { until } from './support/until.js';

/** @typedef {import('./support/engines.js').Page} Page */
/** @typedef {Awaited<ReturnType<typeof startExample>>} Example */

const ANYWHERE = '127.0.0.1:0';

/** @type {import('./support/daemon.js').Daemon} */
let daemon;
/** Without a daemon. @type {Example} */
let minimal;
/** Without a daemon. @type {Example} */
let chat;
/** All pages, which talk to the daemon. @type {Example} */
let pages;

before(async () => {
  daemon = await startDaemon();
  minimal = await startExample('websocket-minimal', [ANYWHERE]);
  chat = await startExample('websocket-chat', [ANYWHERE]);
  pages = await startExample('pages', [daemon.origin, ANYWHERE]);
  // Each has to know where the other is.
  await daemon.reconfigure({ SWITCHBOARD_HTTP_ORIGINS: JSON.stringify([pages.origin]) });
});
after(() => Promise.all([daemon?.end(), minimal?.end(), chat?.end(), pages?.end()]));

/** @param {Page} page */
async function echoes(page) {
  await shows(page, '#state', 'open');
  await page.click('#ask button');
  await shows(page, '#answer', 'hello');
  await fill(page, '#message', '<b>Grüße 🦊</b>');
  await page.click('#ask button');
  await shows(page, '#answer', '<b>Grüße 🦊</b>');
}

/** @param {Page} page @param {string} text */
async function say(page, text) {
  await fill(page, '#text', text);
  await page.click('#say button');
}

/** @param {Page} page @param {string} name @param {string} room */
async function enter(page, name, room) {
  const entered = async () => (await texts(page, '#messages li')).filter((text) => text === ` you are in ${room}`).length;
  const before = await entered();
  await fill(page, '#name', name);
  await fill(page, '#room', room);
  await page.click('#who button');
  await until(`${name} in ${room}`, async () => (await entered()) > before);
}

/** @param {Page} one @param {Page} two */
async function talk(one, two) {
  await enter(one, 'Ann', 'den');
  await enter(two, 'Bob', 'den');
  await say(one, 'Who is there?');
  await shows(two, '#messages li', 'Ann Who is there?');
  await say(two, 'A fox 🦊');
  await shows(one, '#messages li', 'Bob A fox 🦊');
  // What is said in another room is not heard in this one: what comes after it is, so it would have been here.
  await enter(two, 'Bob', 'attic');
  await say(two, 'Alone');
  await shows(two, '#messages li', 'Bob Alone');
  await enter(two, 'Bob', 'den');
  await say(two, 'Back');
  await shows(one, '#messages li', 'Bob Back');
  assert.ok(!(await texts(one, '#messages li')).includes('Bob Alone'));
}

for (const [engine, launch] of Object.entries(ENGINES)) {
  test(engine, async (t) => {
    const { open, close } = await launch();
    t.after(close);
    /** @type {string[]} */
    const faults = [];
    /** @param {import('node:test').TestContext} t @param {string} url */
    const tab = (t, url) => open(t, url, { faults });
    t.afterEach(() => assert.deepEqual(faults.splice(0), []));

    await t.test('a page calls a program', async (t) => {
      await echoes(await tab(t, `${minimal.origin}/`));
    });

    await t.test('a page calls what is served at a hub', async (t) => {
      const program = await daemon.program();
      t.after(() => program.end());
      await program.hub.serve({ echo: (value) => value });
      await echoes(await tab(t, `${pages.origin}/websocket_minimal.html`));
    });

    await t.test('two tabs chat, without a daemon', async (t) => {
      await talk(await tab(t, `${chat.origin}/`), await tab(t, `${chat.origin}/`));
    });

    await t.test('two tabs chat, at a hub', async (t) => {
      const url = `${pages.origin}/websocket_chat.html`;
      await talk(await tab(t, url), await tab(t, url));
    });

    await t.test('a page serves, and a command calls it', async (t) => {
      const page = await tab(t, `${pages.origin}/serve_greet.html`);
      await shows(page, '#calls li', 'greet is served');
      await fill(page, '#greeting', 'Grüezi');
      assert.deepEqual(JSON.parse(await daemon.succeed(['call', 'greet', '{"name":"Ann"}'])), { greeting: 'Grüezi, Ann!' });
      await shows(page, '#calls li', 'Ann, by guest through gotalk');
      const { code, stderr } = await daemon.run(['call', 'greet', '{}']);
      assert.equal(code, 1);
      assert.match(stderr, /say whom/);
    });

    await t.test('a page sees what is published, without a library', async (t) => {
      const lamp = `home/${engine}`;
      const page = await tab(t, `${pages.origin}/events.html`);
      await shows(page, '#state', 'open');
      await fill(page, '#topic', lamp);
      await page.click('#publish button');
      await shows(page, '#messages li', `${lamp} on`);
      await daemon.succeed(['publish', lamp, 'off']);
      await shows(page, '#messages li', `${lamp} off`);
      const later = await tab(t, `${pages.origin}/events.html`);
      await shows(later, '#messages li', `${lamp} on (last value)`);
    });

    await t.test('the list of pages leads to each', async (t) => {
      const page = await tab(t, `${pages.origin}/`);
      await page.click('a[href="events.html"]');
      await shows(page, '#state', 'open');
    });
  });
}
