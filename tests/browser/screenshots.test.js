/** Pictures of the console, for people to look at: `artefacts/`. */

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';

import { launchChromium } from './support/chromium.js';
import { call, goTo, newTab, openConsole, outcome, say, watchTopic } from './support/console.js';
import { startDaemon } from './support/daemon.js';

const FOLDER = fileURLToPath(new URL('artefacts/', import.meta.url));

/** @type {Array<{ name: string, options: import('playwright-core').BrowserContextOptions }>} */
const LOOKS = [
  { name: 'light', options: { viewport: { width: 1280, height: 860 }, colorScheme: 'light' } },
  { name: 'dark', options: { viewport: { width: 1280, height: 860 }, colorScheme: 'dark' } },
  { name: 'phone', options: { viewport: { width: 390, height: 780 }, colorScheme: 'light', isMobile: true, hasTouch: true, deviceScaleFactor: 2 } },
];

/** @type {import('./support/daemon.js').Daemon} */
let daemon;
/** @type {import('./support/chromium.js').Browser} */
let browser;

before(async () => {
  await mkdir(FOLDER, { recursive: true });
  daemon = await startDaemon();
  browser = await launchChromium();
  const program = await daemon.program();
  await program.hub.serve({
    greet: ({ name }) => ({ greeting: `Hello ${name}`, languages: ['en', 'de'], score: 0.98, guest: false, note: null }),
    'image.resize': () => null,
    'invoice.render': () => null,
    'task.add': () => null,
    upper: (text) => text.toUpperCase(),
  });
  const other = await daemon.program();
  await other.hub.serve({ 'image.resize': () => null });
  for (let count = 0; count < 12; count++) await program.request('image.resize', null);
});
after(async () => {
  await browser?.close();
  await daemon?.end();
});

for (const { name, options } of LOOKS) {
  test(`pictures: ${name}`, async (t) => {
    const { context, page, watch } = await openConsole(t, browser, daemon.origin, options);
    const shoot = async (/** @type {string} */ view) => {
      const picture = await page.screenshot({ path: `${FOLDER}${view}-${name}.png`, animations: 'disabled' });
      assert.ok(picture.length > 10_000, `${view} is no empty picture`);
    };
    await page.getByRole('link', { name: 'image.resize' }).filter({ hasText: '2 responders' }).waitFor();
    await shoot('overview');
    await call(page, 'greet', '{"name":"Ann"}');
    await outcome(page).filter({ hasText: 'Answered' }).waitFor();
    await shoot('call');

    await goTo(page, 'Topics');
    await watchTopic(page, 'home/#');
    await watchTopic(page, 'camera/+/frame');
    const program = await daemon.program();
    for (const celsius of [20.5, 20.7, 21]) await program.hub.publish('home/hall/temperature', { celsius, humidity: 0.43 });
    await program.hub.publish('camera/1/frame', Uint8Array.from({ length: 64 }, (_, index) => (index * 37) & 0xff));
    await program.hub.publish('home/door', 'opened');
    await page.getByText('5 messages').waitFor();
    await page.locator('.messages summary').nth(1).click();
    await page.getByRole('group', { name: 'Payload' }).and(page.locator(':visible')).waitFor();
    await shoot('topics');

    const room = `#/chat/${name}`;
    await page.goto(`${daemon.origin}/${room}`);
    await page.getByRole('textbox', { name: 'Your name' }).fill('Ann');
    await page.keyboard.press('Tab');
    const other = await newTab(context, daemon.origin, room);
    await other.getByRole('textbox', { name: 'Your name' }).fill('Zoë');
    await other.keyboard.press('Tab');
    for (const [tab, text] of /** @type {const} */ ([
      [other, 'Good morning 😀'],
      [other, 'Is the new camera on the hub?'],
      [page, 'Yes, it publishes to camera/1/frame.'],
      [page, 'The overview shows it too.'],
      [other, 'Lovely!'],
    ])) {
      await say(tab, text);
      await page.getByRole('log').getByText(text).waitFor();
    }
    await page.getByRole('list').filter({ hasText: 'Zoë' }).last().waitFor();
    await page.evaluate(() => scrollTo(0, 0));
    await shoot('chat');
    watch.clean();
  });
}
