/** A page is a peer: it serves, calls, streams and subscribes as any program does. */

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import { Watch, launchChromium } from './support/chromium.js';
import { startDaemon } from './support/daemon.js';
import { peerPage, show } from './support/pages.js';
import { until } from './support/until.js';

const STREAM_BYTES = 10 << 20;
const PART_BYTES = 64 << 10;

/** Characters of every length in UTF-8, two units in UTF-16, joined ones, and the ones that break scripts in HTML. */
const STRINGS = ['', 'a', 'ä', '€', '😀', '𝒳', '👩‍👩‍👧‍👦', 'e\u0301', '\u2028\u2029', '\u0000', '\uFEFFx', '</script>', '😀'.repeat(40_000)];

/** @type {import('./support/daemon.js').Daemon} */
let daemon;
/** @type {import('./support/chromium.js').Browser} */
let browser;

before(async () => {
  daemon = await startDaemon();
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await daemon?.end();
});

/**
 * A page that is connected.
 * @param {import('node:test').TestContext} t
 */
async function peer(t) {
  const context = await browser.newContext();
  const watch = new Watch(context, daemon.origin);
  t.after(() => context.close());
  const page = await context.newPage();
  await show(page, daemon.origin, peerPage('/gotalk/gotalk.js'));
  await page.waitForFunction(() => sock.state === 'open');
  return { page, watch, context };
}

test('a page serves, and a command calls it', async (t) => {
  const { page, watch } = await peer(t);
  await page.evaluate(() => sock.hub.serve({ greet: ({ name }) => ({ greeting: `Hello ${name}` }) }));
  assert.deepEqual(JSON.parse(await daemon.succeed(['call', 'greet', '{"name":"x"}'])), { greeting: 'Hello x' });
  const posted = await fetch(`${daemon.origin}/call/greet`, { method: 'POST', body: '{"name":"😀"}' });
  assert.deepEqual(await posted.json(), { greeting: 'Hello 😀' });
  watch.clean();
});

test('a page that is closed is gone at once, and its callers are told', async (t) => {
  const { page } = await peer(t);
  await page.evaluate(() => sock.hub.serve({ 'page.waits': () => new Promise(() => {}) }));
  const program = await daemon.program();
  const failed = assert.rejects(program.request('page.waits', null, { retries: 0 }), { name: 'CallError', retry: true, closed: false });
  await until('the call', async () => (await inFlight('page.waits')) === 1);
  await page.close();
  await failed;
  assert.equal(await inFlight('page.waits'), undefined);
});

/** @param {string} name @returns {Promise<number | undefined>} undefined if nobody serves it */
async function inFlight(name) {
  const answer = await fetch(`${daemon.origin}/call/hub.ops`, { method: 'POST' });
  const { ops } = await answer.json();
  return ops.find((/** @type {{ op: string }} */ { op }) => op === name)?.in_flight;
}

test('a page gives a call up, and the responder is told', async (t) => {
  const { page } = await peer(t);
  const program = await daemon.program();
  /** @type {Promise<boolean>} */
  const aborted = new Promise((resolve) => {
    void program.hub.serve(
      { 'program.waits': (_, call) => new Promise(() => call.signal.addEventListener('abort', () => resolve(true))) },
      { caller: true },
    );
  });
  await until('the responder', async () => (await inFlight('program.waits')) === 0);
  await page.evaluate(() => {
    const aborter = new AbortController();
    noted.aborter = aborter;
    noted.call = sock.hub.call('program.waits', null, { signal: aborter.signal }).catch((error) => error.name);
  });
  await until('the call', async () => (await inFlight('program.waits')) === 1);
  assert.equal(await page.evaluate(() => (noted.aborter.abort(), noted.call)), 'AbortError');
  assert.equal(await aborted, true);
});

test('every string arrives as it was sent', async (t) => {
  const { page, watch } = await peer(t);
  const program = await daemon.program();
  await program.hub.serve({ 'text.echo': (text) => text });
  await page.evaluate(() => sock.hub.serve({ 'text.echo.page': (text) => text }));
  assert.deepEqual(await page.evaluate((all) => Promise.all(all.map((text) => sock.request('text.echo', text))), STRINGS), STRINGS);
  for (const text of STRINGS) assert.equal(await program.request('text.echo.page', text), text);
  // What is not whole is made so: a lone half of a character has no UTF-8.
  const lone = await page.evaluate(async () => new TextDecoder().decode(await sock.bufferRequest('text.echo.page', '"\ud83d"')));
  assert.equal(lone, '"\ufffd"');
  watch.clean();
});

test('every kind of buffer arrives as it was sent, either way', async (t) => {
  const { page, watch } = await peer(t);
  const program = await daemon.program();
  program.handlers.handleBufferRequest('bytes.echo', (bytes) => bytes);
  await program.hub.serve('bytes.echo');
  const kinds = await page.evaluate(async () => {
    const source = Uint8Array.from({ length: 48 }, (_, index) => index * 5);
    /** @type {Array<{ new (buffer: ArrayBuffer, offset?: number, length?: number): ArrayBufferView, name: string }>} */
    const types = [
      Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array,
      Float64Array, BigInt64Array, BigUint64Array, DataView,
    ];
    /** @type {Record<string, ArrayBuffer | ArrayBufferView>} */
    const buffers = { ArrayBuffer: source.slice().buffer };
    for (const type of types) {
      const buffer = source.slice().buffer;
      const size = 'BYTES_PER_ELEMENT' in type ? Number(type.BYTES_PER_ELEMENT) : 1;
      buffers[type.name] = new type(buffer);
      // A view of a part, not at its beginning.
      buffers[`${type.name} within`] = new type(buffer, 8, 16 / size);
    }
    const hex = (/** @type {Uint8Array} */ bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    /** @type {Record<string, string>} */
    const echoed = {};
    for (const [kind, buffer] of Object.entries(buffers)) {
      echoed[kind] = hex(await sock.bufferRequest('bytes.echo', /** @type {any} */ (buffer)));
      gotalk.handleBufferRequest(`bytes.of.${kind}`, () => buffer);
    }
    await sock.hub.serve(Object.keys(buffers).map((kind) => `bytes.of.${kind}`));
    return echoed;
  });
  const whole = Buffer.from(Array.from({ length: 48 }, (_, index) => index * 5));
  assert.equal(Object.keys(kinds).length, 25);
  for (const [kind, echoed] of Object.entries(kinds)) {
    const expected = (kind.endsWith('within') ? whole.subarray(8, 24) : whole).toString('hex');
    assert.equal(echoed, expected, kind);
    assert.equal(Buffer.from(await program.bufferRequest(`bytes.of.${kind}`)).toString('hex'), expected, kind);
  }
  watch.clean();
});

test('a page streams 10 MB to a program and back', async (t) => {
  const { page, watch } = await peer(t);
  const program = await daemon.program();
  program.handlers.handleStreamRequest('stream.cat', async function* (parts) {
    yield* parts;
  });
  await program.hub.serve('stream.cat');
  const got = await page.evaluate(
    async ([total, size]) => {
      const body = (async function* () {
        for (let at = 0; at < total; at += size) yield new Uint8Array(size).fill(at / size);
      })();
      let bytes = 0;
      let wrong = 0;
      for await (const part of sock.stream('stream.cat', body)) {
        for (const [index, byte] of part.entries()) if (byte !== (Math.floor((bytes + index) / size) & 0xff)) wrong++;
        bytes += part.length;
      }
      return { bytes, wrong };
    },
    [STREAM_BYTES, PART_BYTES],
  );
  assert.deepEqual(got, { bytes: STREAM_BYTES, wrong: 0 });
  watch.clean();
});

test('a page serves a stream of 10 MB each way', async (t) => {
  const { page, watch } = await peer(t);
  const program = await daemon.program();
  await page.evaluate(async () => {
    gotalk.handleStreamRequest('page.cat', async function* (parts) {
      yield* parts;
    });
    await sock.hub.serve('page.cat');
  });
  const body = (async function* () {
    for (let at = 0; at < STREAM_BYTES; at += PART_BYTES) yield new Uint8Array(PART_BYTES).fill(at / PART_BYTES);
  })();
  let bytes = 0;
  for await (const part of program.stream('page.cat', body)) {
    for (let index = 0; index < part.length; index += PART_BYTES / 4) {
      assert.equal(part[index], Math.floor((bytes + index) / PART_BYTES) & 0xff);
    }
    bytes += part.length;
  }
  assert.equal(bytes, STREAM_BYTES);
  watch.clean();
});

test('a page subscribes and publishes', async (t) => {
  const { page, watch } = await peer(t);
  await daemon.succeed(['publish', 'garden/gate', 'shut', '--retain']);
  await page.evaluate(async () => {
    noted.got = [];
    await sock.hub.subscribe('garden/#', (message) => noted.got.push([message.topic, message.text()]));
  });
  await daemon.succeed(['publish', 'garden/gate', 'open']);
  await page.evaluate(() => sock.hub.publish('garden/bench', { free: true }));
  await page.waitForFunction(() => noted.got.length === 3);
  assert.deepEqual(await page.evaluate(() => noted.got), [
    ['garden/gate', 'shut'],
    ['garden/gate', 'open'],
    ['garden/bench', '{"free":true}'],
  ]);
  watch.clean();
});

test('an EventSource gets what is published through every door', async (t) => {
  const { page, watch } = await peer(t);
  await page.evaluate(() => {
    noted.got = [];
    const events = new EventSource('/subscribe?topic=every/%23');
    events.onmessage = ({ data }) => noted.got.push(JSON.parse(data));
    return new Promise((resolve) => (events.onopen = resolve));
  });
  await daemon.succeed(['publish', 'every/program', '1']);
  await fetch(`${daemon.origin}/publish/every/request`, { method: 'POST', body: '2' });
  await page.evaluate(() => sock.hub.publish('every/page', 3));
  await page.waitForFunction(() => noted.got.length === 3);
  const got = await page.evaluate(() => noted.got.map((/** @type {any} */ { topic, payload }) => [topic, payload]));
  assert.deepEqual(got, [['every/program', '1'], ['every/request', '2'], ['every/page', '3']]);
  watch.clean();
});
