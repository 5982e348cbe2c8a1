/** The console by keyboard, on a telephone, and for those who do not see it or do not like movement. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import test, { after, before } from 'node:test';

import { launchChromium } from './support/chromium.js';
import { call, goTo, openConsole, outcome, say, watchTopic, watched } from './support/console.js';
import { startDaemon } from './support/daemon.js';

const VIEWS = /** @type {const} */ (['Overview', 'Call', 'Topics', 'Chat']);

/** The narrowest telephone, in CSS pixels. */
const NARROW = { width: 320, height: 640 };

/** What fingers need, in CSS pixels: WCAG 2.2 asks for 24, and 44 in its strictest form. */
const TOUCH_MIN = 24;
const TOUCH_GOOD = 44;

const LONG = 'an.operation.with.a.name.that.is.longer.than.any.telephone.is.wide.and.has.no.space';

/** @type {import('./support/daemon.js').Daemon} */
let daemon;
/** @type {import('./support/chromium.js').Browser} */
let browser;

before(async () => {
  daemon = await startDaemon();
  browser = await launchChromium();
  const program = await daemon.program();
  await program.hub.serve({
    greet: ({ name }) => ({ greeting: `Hello ${name}` }),
    [LONG]: () => LONG.repeat(3),
    count: async function* () {
      for (let value = 0; value < 30; value++) yield { value, text: LONG };
    },
  });
});
after(async () => {
  await browser?.close();
  await daemon?.end();
});

/**
 * Every view, with something in it.
 * @param {import('playwright-core').Page} page
 * @param {(view: string) => Promise<void>} look
 */
async function throughAll(page, look) {
  await page.getByRole('link', { name: LONG }).waitFor();
  await look('overview');
  await call(page, LONG, '{"a":1}');
  await outcome(page).filter({ hasText: 'Answered' }).waitFor();
  await look('call');
  await call(page, 'count');
  await outcome(page).filter({ hasText: '30 parts' }).waitFor();
  await look('call, streamed');
  await goTo(page, 'Topics');
  await watchTopic(page, 'look/#');
  await daemon.succeed(['publish', `look/${LONG}`, LONG.repeat(3)]);
  await daemon.succeed(['publish', 'look/bytes', '-'], new Uint8Array(80).fill(0xff));
  await page.getByText('2 messages').waitFor();
  for (const message of await page.locator('.messages summary').all()) await message.click();
  await look('topics');
  await goTo(page, 'Chat');
  await say(page, LONG.repeat(2));
  await page.getByRole('log').getByText(LONG).waitFor();
  await look('chat');
}

test('nothing is wider than a telephone, and everything can be hit by a finger', async (t) => {
  const { page } = await openConsole(t, browser, daemon.origin, { viewport: NARROW, isMobile: true, hasTouch: true });
  /** @type {string[]} */
  const seen = [];
  await throughAll(page, async (view) => {
    seen.push(view);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(width, NARROW.width, `${view} is ${width} wide`);
    const targets = await page.locator('a, button, input, textarea, summary').evaluateAll((all) =>
      all.filter((one) => one.checkVisibility()).map((one) => {
        const { width, height } = (one.closest('label.check') ?? one).getBoundingClientRect();
        return { name: one.outerHTML.slice(0, 80), width, height, inline: getComputedStyle(one).display === 'inline' };
      }),
    );
    assert.ok(targets.length > 8, view);
    // A link within a sentence is as high as its line.
    const small = targets.filter((one) => !one.inline && Math.min(one.width, one.height) < TOUCH_MIN);
    assert.deepEqual(small, [], view);
    const tabs = await page.locator('.tabs a').evaluateAll((all) => all.map((one) => one.getBoundingClientRect().height));
    assert.ok(tabs.every((height) => height >= TOUCH_GOOD), `${tabs}`);
  });
  assert.equal(seen.length, 5);
});

test('all of it can be done by keyboard', async (t) => {
  const { page } = await openConsole(t, browser, daemon.origin);
  await page.getByRole('link', { name: 'greet' }).waitFor();
  const press = (/** @type {string[]} */ ...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
  const focused = () =>
    page.evaluate(() => {
      const { activeElement: one } = document;
      const style = one && getComputedStyle(one);
      const { top = 0, bottom = 0, width = 0 } = one?.getBoundingClientRect() ?? {};
      return {
        name: one?.getAttribute('aria-label') ?? (one instanceof HTMLInputElement || one instanceof HTMLTextAreaElement ? one.labels?.[0]?.textContent : one?.textContent) ?? '',
        marked: style?.outlineStyle !== 'none' && style?.outlineWidth !== '0px',
        seen: width > 0 && bottom > 0 && top < innerHeight,
      };
    });
  const tabTo = async (/** @type {RegExp} */ name) => {
    for (let count = 0; count < 60; count++) {
      await press('Tab');
      const now = await focused();
      assert.ok(now.marked && now.seen, `where the focus is must be seen: ${JSON.stringify(now)}`);
      if (name.test(now.name)) return;
    }
    assert.fail(`${name} is not reached`);
  };

  // Who follows a link is at the head of where it leads.
  const enter = async (/** @type {string} */ view) => {
    await press('Enter');
    await page.getByRole('heading', { level: 1, name: view }).and(page.locator(':focus')).waitFor();
  };

  await press('Tab');
  assert.equal((await focused()).name, 'Skip to the content');
  await press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');
  // From the list to the form: the operation is there already.
  await tabTo(/^greet/);
  await enter('Call');
  await tabTo(/^Payload$/);
  await page.keyboard.type('{"name":"Ann"}');
  await press('Control+Enter');
  await page.getByText('Hello Ann').waitFor();

  await page.getByRole('link', { name: 'Topics' }).focus();
  await enter('Topics');
  await tabTo(/^Topic or filter$/);
  await page.keyboard.type('keys/#');
  await press('Enter');
  await watched(page, 'keys/#').waitFor();
  await tabTo(/^Topic$/);
  await page.keyboard.type('keys/x');
  await tabTo(/^Message$/);
  await page.keyboard.type('typed');
  await tabTo(/Retain/);
  await press('Space');
  await tabTo(/^Publish$/);
  await press('Enter');
  await page.getByText('Sent to 1 subscription.').waitFor();
  await page.getByRole('list', { name: 'Messages' }).getByText('typed').waitFor();

  await page.getByRole('link', { name: 'Chat' }).focus();
  await enter('Chat');
  await tabTo(/^Message$/);
  await page.keyboard.type('Hello');
  await press('Shift+Enter');
  await page.keyboard.type('there');
  await press('Enter');
  await page.getByRole('log').getByText('Hello\nthere').waitFor();
  await tabTo(/^Room$/);
});

for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
  test(`nothing that axe knows is wrong with it, ${colorScheme}`, async (t) => {
    const { page } = await openConsole(t, browser, daemon.origin, { colorScheme });
    const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    await page.evaluate(axe);
    let passed = 0;
    await throughAll(page, async (view) => {
      const { violations, passes } = await page.evaluate(async () => {
        const { violations, passes } = await /** @type {any} */ (globalThis).axe.run();
        return { violations: violations.map((/** @type {any} */ { id, nodes }) => `${id}: ${nodes.map((/** @type {any} */ node) => `${node.html} ${node.failureSummary}`).join('; ')}`), passes: passes.length };
      });
      assert.deepEqual(violations, [], view);
      passed += passes;
    });
    assert.ok(passed > 100);
  });
}

test('nothing moves for who does not like that', async (t) => {
  const { page } = await openConsole(t, browser, daemon.origin);
  const animation = () => page.locator('.light .dot').evaluate((dot) => getComputedStyle(dot).animationName);
  await page.evaluate(() => document.querySelector('.light')?.setAttribute('data-mood', 'busy'));
  assert.equal(await animation(), 'breathe');
  await page.emulateMedia({ reducedMotion: 'reduce' });
  assert.equal(await animation(), 'none');
});

test('its parts are landmarks, and where one is, is said', async (t) => {
  const { page } = await openConsole(t, browser, daemon.origin);
  for (const role of /** @type {const} */ (['banner', 'navigation', 'main'])) assert.equal(await page.getByRole(role).count(), 1, role);
  for (const view of VIEWS) {
    await goTo(page, view);
    assert.equal(await page.getByRole('navigation').locator('[aria-current=page]').innerText(), view);
    assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), view);
  }
});
