/** A page that was written for the original gotalk.js runs as it is. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test, { after, before } from 'node:test';

import { Watch, launchChromium } from './support/chromium.js';
import { startDaemon } from './support/daemon.js';
import { show } from './support/pages.js';

const PAGE = new URL('pages/original.html', import.meta.url);

/** @type {import('./support/daemon.js').Daemon} */
let daemon;
/** @type {import('./support/chromium.js').Browser} */
let browser;

before(async () => {
  daemon = await startDaemon({ SWITCHBOARD_GOTALK_HEARTBEAT_INTERVAL: '250ms' });
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await daemon?.end();
});

/** What the page calls. */
async function serveProgram() {
  const program = await daemon.program();
  program.handlers.handleBufferRequest('program.bytes', (bytes) => bytes);
  program.handlers.handleStreamRequest('program.join', async function* (parts) {
    for await (const part of parts) yield Buffer.from(part).toString().toUpperCase();
  });
  await program.hub.serve({
    'program.echo': (value) => value,
    'program.what': (value, call) => [value ?? null, call.op],
    'program.fails': () => {
      throw new Error('it is broken');
    },
  });
  await program.hub.serve(['program.bytes', 'program.join']);
  return program;
}

test('a page for the original library runs unchanged', async (t) => {
  const program = await serveProgram();
  const context = await browser.newContext();
  t.after(() => context.close());
  const watch = new Watch(context, daemon.origin);
  const page = await context.newPage();
  await show(page, daemon.origin, await readFile(PAGE, 'utf8'));
  await page.waitForFunction('done.finished && done.told && done.bytes && done.early');

  const { told, bytes, ...done } = await page.evaluate('done');
  assert.deepEqual([told, bytes], [[{ by: 'me' }, 'page/told'], [4, 'page/bytes']]);
  assert.deepEqual(done, {
    opened: [true, 'string', daemon.webSocket, true, 100],
    early: [null, 'early'],
    serves: null,
    subscribes: null,
    'request with a callback': [null, { hello: ['w', 'ö', '😀'] }],
    'request without a value': [null, [null, 'program.what']],
    'request with a promise': 42,
    'request that fails': [true, 'it is broken'],
    'request of what nobody serves': [true, 'unknown operation "toString"'],
    'buffer request': [null, 3, 1, 3],
    'buffer request of a string': [null, 3],
    'buffer request with a promise': 2,
    'stream request': [null, 'ONE TWO '],
    heartbeat: [true, 'number'],
    emitter: [5, 1, false],
    handlers: ['function', 'undefined', 'function', true, true],
    'as text': [null, 'text 😀'],
    'a second connection, opened once, as text': ['closed', null, null],
    finished: true,
  });

  assert.equal(await program.request('page.double', 21), 42);
  assert.deepEqual(await program.request('page.later', ['x']), { op: 'page.later', params: ['x'] });
  await assert.rejects(program.request('page.fails', 'luck'), { message: 'no luck' });
  await assert.rejects(program.request('page.fails.string', null), { message: 'just no' });
  assert.equal((await program.bufferRequest('page.nothing')).length, 0);
  assert.equal(Buffer.from(await program.bufferRequest('page.reverse', 'abc')).toString(), 'cba');
  watch.clean();
});

test('its connection comes back, as it did', async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  await serveProgram();
  const page = await context.newPage();
  await show(page, daemon.origin, await readFile(PAGE, 'utf8'));
  await page.waitForFunction('done.finished');
  await daemon.kill();
  await page.waitForFunction('times.close === 1');
  await daemon.start();
  await page.waitForFunction('times.open === 2');
});
