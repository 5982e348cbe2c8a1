/** Against the real daemon, if it has been built: `cargo build --bin switchboard`. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import gotalk from '../src/node.js';

const BINARY = process.env.SWITCHBOARD_BINARY ?? fileURLToPath(new URL('../../../target/debug/switchboard', import.meta.url));

/** Waits longer than anything here should take; a busy machine is slow. */
const TIMEOUT_MS = 20_000;

/**
 * @param {Record<string, string>} [addresses] by door, to listen on; any free ones if not given
 */
async function start(data, addresses = { tcp: 'tcp://127.0.0.1:0', unix: 'unix://{data}/hub.sock', http: 'http://127.0.0.1:0' }) {
  const listen = Object.values(addresses).flatMap((address) => ['--listen', address]);
  const child = spawn(BINARY, ['serve', '--data', data, ...listen], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = [];
  child.stderr.on('data', (text) => said.push(String(text)));
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const bound = {};
  const ready = (async () => {
    for await (const line of createInterface({ input: child.stdout })) {
      if (line === 'ready') return;
      const address = line.split(/\s+/)[1] ?? '';
      bound[address.split(':')[0]] = address;
    }
    throw new Error(`the daemon ended: ${said.join('')}`);
  })();
  await ready;
  return {
    ...bound,
    ws: `${bound.http.replace('http', 'ws')}/gotalk/`,
    stop: () => child.kill('SIGKILL') && exited,
  };
}

async function daemon(t) {
  const data = mkdtempSync(join(tmpdir(), 'switchboard-js-'));
  const state = { current: await start(data) };
  t.after(async () => {
    await state.current.stop();
    rmSync(data, { recursive: true });
  });
  return { data, state };
}

const event = (sock, name) => new Promise((resolve) => sock.once(name, resolve));

test('the real daemon', { skip: !existsSync(BINARY) && `${BINARY} is not built`, timeout: 6 * TIMEOUT_MS }, async (t) => {
  const { data, state } = await daemon(t);
  const connect = async (door, options) => {
    const sock = await gotalk.connect(state.current[door], { handlers: new gotalk.Handlers(), ...options });
    t.after(() => sock.end(0));
    return sock;
  };

  for (const door of ['tcp', 'unix', 'ws']) {
    await t.test(`calls, streams and topics over ${door}`, { timeout: TIMEOUT_MS }, async () => {
      const responder = await connect(door);
      const caller = await connect(door);
      const who = await responder.hub.whoami();
      assert.equal(typeof who.account, 'string');
      await responder.hub.serve({
        [`${door}.greet`]: async ({ name }) => ({ greeting: `Hello ${name}` }),
        [`${door}.count`]: async function* (to) {
          for (let value = 0; value < to; value++) yield value;
        },
        [`${door}.fails`]: async () => {
          throw new Error('no luck');
        },
      });
      responder.handlers.handleStreamRequest(`${door}.cat`, async function* (body) {
        for await (const part of body) yield part;
      });
      await responder.hub.serve(`${door}.cat`);
      assert.deepEqual(await caller.request(`${door}.greet`, { name: '😀' }), { greeting: 'Hello 😀' });
      await assert.rejects(caller.request(`${door}.fails`), { message: 'no luck' });
      await assert.rejects(caller.request('nobody.serves.this'), { message: 'unknown operation "nobody.serves.this"' });
      const counted = [];
      for await (const value of caller.stream(`${door}.count`, '3', { as: 'json' })) counted.push(value);
      assert.deepEqual(counted, [0, 1, 2]);

      const part = new Uint8Array(64 << 10).fill(7);
      let size = 0;
      const body = (async function* () {
        for (let count = 0; count < 160; count++) yield part;
      })();
      for await (const got of caller.stream(`${door}.cat`, body)) size += got.length;
      assert.equal(size, 160 * part.length, '10 MB each way');

      const got = [];
      let told;
      const all = new Promise((resolve) => (told = resolve));
      await caller.hub.publish(`js/${door}/kept`, 'retained', { retain: true });
      await caller.hub.subscribe(`js/${door}/#`, (message) => got.push([message.topic, message.text()]) === 3 && told());
      assert.equal((await responder.hub.publish(`js/${door}/a`, new Uint8Array([0xf0, 0x9f, 0x98, 0x80]))).subscriptions, 1);
      responder.notify(`js/${door}/b`, { on: true });
      await all;
      assert.deepEqual(got, [[`js/${door}/kept`, 'retained'], [`js/${door}/a`, '😀'], [`js/${door}/b`, '{"on":true}']]);
      responder.end();
      await event(responder, 'close');
      await assert.rejects(caller.request(`${door}.greet`, {}, { retries: 0 }));
      caller.end();
    });
  }

  await t.test('the caller is described, and deadlines and cancellation reach the responder', { timeout: TIMEOUT_MS }, async () => {
    const responder = await connect('tcp');
    const caller = await connect('unix');
    let aborted;
    const seen = new Promise((resolve) => (aborted = resolve));
    await responder.hub.serve(
      {
        'js.who': async (params, call) => call.from,
        'js.slow': (params, call) => new Promise(() => call.signal.addEventListener('abort', () => aborted(true))),
      },
      { caller: true },
    );
    void caller.hub;
    const { account, door, operation } = await caller.request('js.who', null);
    assert.deepEqual([typeof account, door, operation], ['string', 'gotalk', 'js.who']);
    await assert.rejects(caller.request('js.slow', null, { timeout: 50 }), { name: 'TimeoutError' });
    assert.equal(await seen, true);
  });

  await t.test('what is said of an operation and of a body is known at both ends of HTTP', { timeout: TIMEOUT_MS }, async () => {
    const responder = await connect('ws');
    responder.handlers.handleBufferRequest('js.typed', (bytes, result) => result(`${result.from.content_type} ${bytes.length}`));
    await responder.hub.serve('js.typed', { caller: true, safe: true, resultType: 'text/plain; charset=utf-8' });
    await responder.hub.serve({ 'js.plain': async (value) => value });
    const call = (op, init) => fetch(`${state.current.http}/call/${op}`, init);
    const said = async (answer) => [answer.status, answer.headers.get('content-type'), await answer.text()];
    const typed = { method: 'POST', body: new Uint8Array(3), headers: { 'content-type': 'image/png' } };
    assert.deepEqual(await said(await call('js.typed', typed)), [200, 'text/plain; charset=utf-8', 'image/png 3']);
    const untyped = { method: 'POST', body: new Uint8Array(3) };
    assert.deepEqual(await said(await call('js.typed', untyped)), [200, 'text/plain; charset=utf-8', 'undefined 3']);
    assert.deepEqual(await said(await call('js.typed?arg=hello')), [200, 'text/plain; charset=utf-8', 'undefined 5']);
    assert.equal((await call('js.plain?arg=1')).status, 405);
    const { ops } = await responder.request('hub.ops', {});
    const shown = ops.filter(({ op }) => /^js\.(typed|plain)$/.test(op)).map(({ op, safe, result_type: type }) => [op, safe, type]);
    assert.deepEqual(shown, [['js.plain', false, undefined], ['js.typed', true, 'text/plain; charset=utf-8']]);
    await assert.rejects(responder.hub.serve('js.wrong', { resultType: 'no type' }), /media type/);
  });

  await t.test('the daemon is killed and comes back: so do those who serve and subscribe', { timeout: 2 * TIMEOUT_MS }, async () => {
    const got = [];
    const socks = [];
    for (const door of ['tcp', 'ws']) {
      const sock = await connect(door, { keepalive: true });
      await sock.hub.serve({ [`js.back.${door}`]: async (value) => value });
      await sock.hub.subscribe('js/back/#', (message) => got.push(`${door} ${message.text()}`));
      socks.push(sock);
    }
    const closed = Promise.all(socks.map((sock) => event(sock, 'close')));
    const { tcp, unix, http } = state.current;
    await state.current.stop();
    await closed;
    const reopened = Promise.all(socks.map((sock) => event(sock, 'open')));
    state.current = await start(data, { tcp, unix, http });
    await reopened;
    const [one, other] = socks;
    assert.equal(await one.request('js.back.ws', 1), 1);
    assert.equal(await other.request('js.back.tcp', 2), 2);
    assert.equal((await one.hub.publish('js/back/x', 'again')).subscriptions, 2);
    for (let count = 0; got.length < 2 && count < 1000; count++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(got.sort(), ['tcp again', 'ws again']);
  });

  await t.test('the HTTP door serves this library', { timeout: TIMEOUT_MS }, async () => {
    const answer = await fetch(`${state.current.http}/gotalk/gotalk.js`);
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /switchboard\.1/);
  });
});
