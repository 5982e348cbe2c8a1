/** The console: what it shows, and what can be done with it. */

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import { launchChromium } from './support/chromium.js';
import { call, connected, goTo, newTab, openConsole, outcome, say, watchTopic } from './support/console.js';
import { startDaemon } from './support/daemon.js';
import { until } from './support/until.js';

/** @type {import('./support/daemon.js').Daemon} */
let daemon;
/** @type {import('./support/chromium.js').Browser} */
let browser;
/** Refuses with a wait so often before it answers. */
let refusals = 0;

before(async () => {
  daemon = await startDaemon();
  browser = await launchChromium();
  await serveProgram();
});
after(async () => {
  await browser?.close();
  await daemon?.end();
});

async function serveProgram() {
  const program = await daemon.program();
  program.handlers.handleBufferRequest('demo.bytes', () => Uint8Array.of(0, 1, 0xfe, 0xff));
  program.handlers.handleBufferRequest('demo.big', () => '{"n":12345678901234567890,"list":[],"deep":{"x":[1,null]}}');
  program.handlers.handleRequest('demo.busy', (_, result) => {
    if (refusals-- > 0) result.retry(400, 'all hands are full');
    else result('done');
  });
  await program.hub.serve({
    'demo.greet': ({ name }) => ({ greeting: `Hello ${name}` }),
    'demo.html': () => '<img src=x onerror="document.title=\'broken\'"><b>bold</b>',
    'demo.fails': () => {
      throw new Error('no such thing');
    },
    'demo.count': async function* (to) {
      for (let value = 1; value <= to; value++) yield { value };
    },
  });
  await program.hub.serve(['demo.bytes', 'demo.big', 'demo.busy']);
  const aborted = () => program.notify('demo/aborted', true);
  await program.hub.serve(
    { 'demo.waits': (_, { signal }) => new Promise(() => signal.addEventListener('abort', aborted)) },
    { caller: true },
  );
  return program;
}

test('it loads without a complaint, and asks nobody else', async (t) => {
  const { page, watch } = await openConsole(t, browser, daemon.origin);
  for (const view of /** @type {const} */ (['Call', 'Topics', 'Chat', 'Overview'])) {
    await goTo(page, view);
    assert.equal(await page.title(), `${view} · Switchboard`);
  }
  await page.reload();
  await connected(page);
  watch.clean();
});

test('its policy lets no script in, and no text become HTML', async (t) => {
  const { page } = await openConsole(t, browser, daemon.origin);
  const policy = (await page.request.get(daemon.origin)).headers()['content-security-policy'];
  assert.match(policy ?? '', /^default-src 'none'; script-src 'self'; style-src 'self';/);
  const seen = await page.evaluate(async () => {
    /** @type {string[]} */
    const violated = [];
    addEventListener('securitypolicyviolation', (event) => violated.push(event.effectiveDirective));
    const script = document.createElement('script');
    try {
      script.textContent = 'globalThis.broken = true';
    } catch {
      violated.push('text of a script');
    }
    document.head.append(script);
    try {
      document.body.innerHTML = '<p>broken';
    } catch {
      violated.push('text as HTML');
    }
    document.body.setAttribute('style', 'color: red');
    await fetch('http://127.0.0.2:9/').catch(() => {});
    // They are told in tasks of their own.
    while (!violated.includes('connect-src')) await new Promise((resolve) => setTimeout(resolve));
    return { violated, broken: 'broken' in globalThis };
  });
  assert.equal(seen.broken, false);
  for (const one of ['text of a script', 'text as HTML', 'style-src-attr', 'connect-src']) {
    assert.ok(seen.violated.includes(one), `${one}: ${seen.violated}`);
  }
});

test('files are compressed and known again', async () => {
  for (const path of ['/', '/console/main.js', '/console/styles/base.css']) {
    const first = await fetch(daemon.origin + path, { headers: { 'Accept-Encoding': 'br' } });
    assert.equal(first.headers.get('content-encoding'), 'br', path);
    const tag = first.headers.get('etag') ?? '';
    const again = await fetch(daemon.origin + path, { headers: { 'Accept-Encoding': 'br', 'If-None-Match': tag } });
    assert.equal(again.status, 304, path);
    await first.arrayBuffer();
  }
});

test('it shows what is served and who is here, live', async (t) => {
  const { page, watch } = await openConsole(t, browser, daemon.origin);
  const served = page.getByRole('list', { name: 'Operations', exact: true });
  const row = served.getByRole('link', { name: 'late.op' });
  await served.getByRole('link', { name: 'demo.greet' }).waitFor();
  assert.equal(await row.count(), 0);
  const sessions = page.getByRole('list', { name: 'Sessions' });
  const mine = sessions.getByRole('listitem').filter({ has: page.getByText('this tab') });
  await mine.filter({ hasText: 'websocket' }).waitFor();

  const program = await daemon.program();
  await program.hub.serve({ 'late.op': () => 'late' });
  await row.waitFor();
  await sessions.getByRole('listitem').filter({ hasText: 'gotalk' }).filter({ hasText: 'serves 1' }).waitFor();
  await daemon.succeed(['call', 'late.op']);
  await row.getByText('1 call').waitFor();
  program.end();
  await row.waitFor({ state: 'detached' });

  // A click leads to where it can be called.
  await served.getByRole('link', { name: 'demo.greet' }).click();
  assert.equal(await page.getByRole('combobox', { name: 'Operation' }).inputValue(), 'demo.greet');
  watch.clean();
});

test('nobody is asked for lists that nobody sees', async (t) => {
  const { page } = await openConsole(t, browser, daemon.origin);
  await page.getByRole('link', { name: 'demo.greet' }).waitFor();
  await goTo(page, 'Chat');
  const calls = async () => {
    const answer = await fetch(`${daemon.origin}/call/hub.ops`, { method: 'POST' });
    const { ops } = await answer.json();
    return ops.find((/** @type {{ op: string }} */ { op }) => op === 'hub.sessions').calls;
  };
  // A round that was under way ends; then there is none, also when one would be due.
  await page.clock.install();
  await page.clock.runFor(3000);
  const before = await until('no calls', async () => {
    const count = await calls();
    return (await calls()) === count && count;
  });
  await page.clock.runFor(20_000);
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
  assert.equal(await calls(), before);
});

test('an operation is called, and its answer laid out', async (t) => {
  const { page, watch } = await openConsole(t, browser, daemon.origin);
  await call(page, 'demo.greet', '{"name":"😀"}');
  await outcome(page).filter({ hasText: /^Answered in [\d.]+ m?s · 25 bytes$/ }).waitFor();
  const payload = page.getByRole('group', { name: 'Payload' });
  assert.equal(await payload.textContent(), '{\n  "greeting": "Hello 😀"\n}');
  assert.equal(new URL(page.url()).hash, '#/call/demo.greet');

  await call(page, 'demo.big');
  await page.getByText('12345678901234567890').waitFor();
  const laidOut = '{\n  "n": 12345678901234567890,\n  "list": [],\n  "deep": {\n    "x": [\n      1,\n      null\n    ]\n  }\n}';
  assert.equal(await payload.textContent(), laidOut);

  await call(page, 'demo.bytes');
  await page.getByText('Binary · 4 bytes').waitFor();
  assert.match((await payload.textContent()) ?? '', /^000000 {2}00 01 fe ff +····$/);

  await call(page, 'demo.html');
  await page.getByText('<b>bold</b>').waitFor();
  assert.equal(await page.locator('.answer img, .answer b').count(), 0);

  await call(page, 'demo.fails');
  await outcome(page).filter({ hasText: /^Failed after .*: no such thing$/ }).waitFor();
  await call(page, 'nobody.serves.this');
  await outcome(page).filter({ hasText: 'unknown operation "nobody.serves.this"' }).waitFor();

  // What was called can be called again.
  await page.getByRole('list', { name: 'Recent calls' }).getByRole('button', { name: 'demo.greet' }).click();
  assert.equal(await page.getByRole('textbox', { name: 'Payload' }).inputValue(), '{"name":"😀"}');
  watch.clean();
});

test('a stream is shown part by part', async (t) => {
  const { page, watch } = await openConsole(t, browser, daemon.origin);
  await call(page, 'demo.count', '1000');
  await outcome(page).filter({ hasText: /^Answered in .* · 1,000 parts · / }).waitFor();
  const parts = page.getByRole('list', { name: 'Parts of the answer' }).getByRole('listitem');
  await parts.last().filter({ hasText: '1,000{"value":1000}' }).waitFor();
  assert.equal(await parts.count(), 200);
  watch.clean();
});

test('who asks to retry is asked again, after the wait that it asked for', async (t) => {
  const { page, watch } = await openConsole(t, browser, daemon.origin);
  refusals = 1;
  await call(page, 'demo.busy');
  await outcome(page).filter({ hasText: 'Asked to retry: all hands are full. Waiting 400 ms before try 2 of 8.' }).waitFor();
  await outcome(page).filter({ hasText: /^Answered in .* · 2 tries$/ }).waitFor();
  refusals = 100;
  await call(page, 'demo.busy');
  await page.getByRole('button', { name: 'Try now' }).click();
  await outcome(page).filter({ hasText: 'before try 3 of 8' }).waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await outcome(page).filter({ hasText: 'Cancelled after' }).waitFor();
  watch.clean();
});

test('a call is given up: by hand, or when its time is over', async (t) => {
  const { page, watch } = await openConsole(t, browser, daemon.origin, { hash: '#/topics' });
  await watchTopic(page, 'demo/aborted');
  await call(page, 'demo.waits');
  await outcome(page).filter({ hasText: 'Calling demo.waits…' }).waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await outcome(page).filter({ hasText: 'Cancelled after' }).waitFor();
  await page.getByRole('spinbutton', { name: 'Give up after' }).fill('0.1');
  await call(page, 'demo.waits');
  await outcome(page).filter({ hasText: /^Failed after .*: timed out$/ }).waitFor();
  // The responder was told.
  await goTo(page, 'Topics');
  await page.getByText('2 messages').waitFor();
  watch.clean();
});

test('topics are watched, whoever publishes', async (t) => {
  const { page, watch } = await openConsole(t, browser, daemon.origin, { hash: '#/topics' });
  await daemon.succeed(['publish', 'home/hall/lamp', 'kept', '--retain']);
  await watchTopic(page, 'home/+/lamp');
  const messages = page.getByRole('list', { name: 'Messages' }).getByRole('listitem');
  await messages.filter({ hasText: 'kept' }).waitFor();
  await daemon.succeed(['publish', 'home/kitchen/lamp', 'on']);
  await daemon.succeed(['publish', 'home/kitchen/oven', 'hot']);
  await daemon.succeed(['publish', 'home/kitchen/lamp', '{"on":false}']);
  await daemon.succeed(['publish', 'home/attic/lamp', '-'], Uint8Array.of(0xff, 0x00, 0x0a));
  await messages.filter({ hasText: 'binary · 3 bytes' }).waitFor();
  assert.deepEqual(
    await messages.locator('.topic').allTextContents(),
    ['home/attic/lamp', 'home/kitchen/lamp', 'home/kitchen/lamp', 'home/hall/lamp'],
    'the newest first, and no oven',
  );
  await messages.nth(1).click();
  assert.equal(await messages.nth(1).getByRole('group', { name: 'Payload' }).textContent(), '{\n  "on": false\n}');

  // What another filter brings already is not asked for twice.
  await watchTopic(page, 'home/#');
  assert.deepEqual(await page.getByRole('list', { name: 'Watched filters' }).getByRole('listitem').allTextContents(), ['home/#']);
  await page.getByRole('textbox', { name: 'Topic or filter' }).fill('home/hall/+');
  await page.keyboard.press('Enter');
  await page.getByText('home/# brings that already.').waitFor();
  await page.getByRole('textbox', { name: 'Topic or filter' }).fill('a/#/b');
  await page.keyboard.press('Enter');
  await page.getByText('# stands for the rest, so it comes last.').waitFor();

  await page.getByRole('button', { name: 'Clear' }).click();
  await page.getByText('Waiting for messages…').waitFor();
  await page.getByRole('button', { name: 'Watch home/# no more' }).click();
  const program = await daemon.program();
  await until('no subscription', async () => !(await program.hub.publish('home/x', 'y')).subscriptions);
  assert.equal(await messages.count(), 0);
  watch.clean();
});

test('watching can be paused, and is bounded', async (t) => {
  const { page, watch } = await openConsole(t, browser, daemon.origin, { hash: '#/topics' });
  await watchTopic(page, 'flood/#');
  const messages = page.getByRole('list', { name: 'Messages' }).getByRole('listitem');
  const program = await daemon.program();
  await program.hub.publish('flood/first', 'x');
  await messages.first().waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await program.hub.publish('flood/hidden', 'x');
  await page.getByText('2 messages, 1 while paused').waitFor();
  assert.equal(await messages.count(), 1);
  await page.getByRole('button', { name: 'Resume' }).click();
  await messages.filter({ hasText: 'flood/hidden' }).waitFor();
  for (let count = 0; count < 998; count++) await program.hub.publish('flood/more', String(count));
  await page.getByText('1,000 messages, the last 300 shown').waitFor();
  assert.equal(await messages.count(), 300);
  assert.match((await messages.first().textContent()) ?? '', /997/);
  watch.clean();
});

test('the console publishes, retained if wanted', async (t) => {
  const { page, watch } = await openConsole(t, browser, daemon.origin, { hash: '#/topics' });
  const form = page.getByRole('form', { name: 'Publish a message' });
  await form.getByRole('textbox', { name: 'Topic' }).fill('shop/sign');
  await form.getByRole('textbox', { name: 'Message' }).fill('öffnet 😀');
  await form.getByRole('checkbox', { name: 'Retain' }).check();
  await form.getByRole('button', { name: 'Publish' }).click();
  await form.getByText('Taken; nobody is subscribed.').waitFor();
  const program = await daemon.program();
  const kept = new Promise((resolve) => void program.hub.subscribe('shop/#', (message) => resolve(message.text())));
  assert.equal(await kept, 'öffnet 😀');
  await form.getByRole('button', { name: 'Publish' }).click();
  await form.getByText('Sent to 1 subscription.').waitFor();
  await form.getByRole('textbox', { name: 'Topic' }).fill('$hub/x');
  await form.getByRole('button', { name: 'Publish' }).click();
  await form.locator('[data-mood=bad]').waitFor();
  watch.clean();
});

test('two tabs chat, and a program with them', async (t) => {
  const { context, page: one, watch } = await openConsole(t, browser, daemon.origin, { hash: '#/chat/tea' });
  await one.getByRole('textbox', { name: 'Your name' }).fill('Ann');
  await one.keyboard.press('Tab');
  await say(one, 'Is there tea? 😀');
  const log = one.getByRole('log', { name: 'Messages' });
  await log.getByText('Is there tea? 😀').waitFor();

  // One who comes later is told what was said.
  const two = await newTab(context, daemon.origin, '#/chat/tea');
  await two.getByRole('log').getByText('Is there tea? 😀').waitFor();
  await two.getByRole('textbox', { name: 'Your name' }).fill('Zoë');
  await two.keyboard.press('Tab');
  await say(two, '<b>There is</b>');
  await log.getByText('<b>There is</b>').waitFor();
  const here = one.getByRole('region', { name: 'Room and people' }).getByRole('listitem');
  await here.filter({ hasText: 'Zoë' }).waitFor();
  await here.filter({ hasText: 'Ann' }).filter({ hasText: 'you' }).waitFor();

  await daemon.succeed(['publish', 'chat/tea', '{"from":"kettle","text":"It boils"}']);
  await daemon.succeed(['publish', 'chat/tea', 'just text']);
  await log.getByText('just text').waitFor();
  const said = await log.getByRole('listitem').evaluateAll((items) =>
    items.map((item) => [item.querySelector('.who')?.textContent, item.querySelector('.text')?.textContent]),
  );
  assert.deepEqual(said, [
    ['Ann', 'Is there tea? 😀'],
    ['Zoë', '<b>There is</b>'],
    ['kettle', 'It boils'],
    ['somebody', 'just text'],
  ]);

  // What is said out of sight is counted, and another room is another.
  await goTo(one, 'Overview');
  await say(two, 'Come back!');
  await one.getByRole('link', { name: 'Chat 1' }).waitFor();
  await two.getByRole('textbox', { name: 'Room' }).fill('coffee');
  await two.getByRole('button', { name: 'Enter' }).click();
  await two.getByText('Nobody has said anything yet').waitFor();
  await goTo(one, 'Chat');
  await here.filter({ hasText: 'Zoë' }).waitFor({ state: 'detached' });
  await two.close();
  watch.clean();
});

test('a tab that is closed is no longer in its room', async (t) => {
  const { context, page } = await openConsole(t, browser, daemon.origin, { hash: '#/chat/brief' });
  const other = await newTab(context, daemon.origin, '#/chat/brief');
  const here = page.getByRole('region', { name: 'Room and people' }).getByRole('listitem');
  await here.nth(1).waitFor();
  await other.close({ runBeforeUnload: true });
  await here.nth(1).waitFor({ state: 'detached' });
});

test('light or dark is the system’s, or one’s own', async (t) => {
  const { context, page } = await openConsole(t, browser, daemon.origin, { colorScheme: 'dark' });
  const lightness = (/** @type {import('playwright-core').Page} */ page) =>
    page.evaluate(() => Number(/oklch\(([\d.]+)/.exec(getComputedStyle(document.documentElement).backgroundColor)?.[1]));
  assert.ok((await lightness(page)) < 0.3);
  await page.emulateMedia({ colorScheme: 'light' });
  assert.ok((await lightness(page)) > 0.9);
  await page.getByRole('button', { name: 'Theme: system' }).click();
  await page.getByRole('button', { name: 'Theme: light' }).click();
  assert.ok((await lightness(page)) < 0.3);
  const other = await newTab(context, daemon.origin);
  await other.emulateMedia({ colorScheme: 'light' });
  assert.ok((await lightness(other)) < 0.3, 'it is remembered');
  await other.getByRole('button', { name: 'Theme: dark' }).click();
  assert.ok((await lightness(other)) > 0.9);
});

test('the daemon is killed and started again: the console is back by itself', async (t) => {
  const { context, page } = await openConsole(t, browser, daemon.origin, { hash: '#/topics' });
  await watchTopic(page, 'again/#');
  await goTo(page, 'Chat');
  const other = await newTab(context, daemon.origin, '#/chat');
  await say(page, 'before');
  await other.getByRole('log').getByText('before').waitFor();
  await daemon.kill();
  await page.getByText('Reconnecting…').waitFor();
  await page.getByText('The hub is out of reach.').waitFor();
  await say(other, 'meanwhile');
  await daemon.start();
  const program = await serveProgram();
  await Promise.all([connected(page), connected(other)]);
  await page.getByRole('log').getByText('meanwhile').waitFor();
  assert.deepEqual(await page.getByRole('log').locator('.text').allTextContents(), ['before', 'meanwhile']);
  await page.getByText('The hub is out of reach.').waitFor({ state: 'hidden' });
  await goTo(page, 'Topics');
  await until('the subscription', async () => (await program.hub.publish('again/x', 'here')).subscriptions);
  await page.getByRole('list', { name: 'Messages' }).getByText('here').first().waitFor();
  await call(page, 'demo.greet', '{"name":"again"}');
  await page.getByText('Hello again').waitFor();
  await goTo(page, 'Overview');
  await page.getByRole('link', { name: 'demo.greet' }).waitFor();
});
