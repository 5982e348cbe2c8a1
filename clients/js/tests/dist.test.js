/** The classic script: its size, and that a page written for the original works unchanged. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import test from 'node:test';
import vm from 'node:vm';
import { gzipSync } from 'node:zlib';

import { WebSocket } from 'ws';

import { SCRIPT_GZIP_BYTES_MAX, script } from '../build.js';
import { version } from '../src/gotalk.js';
import { listenWs } from './support/peer.js';

const text = readFileSync(new URL('../dist/gotalk.js', import.meta.url), 'utf8');

/** A page's global object, in which the script has run. */
function page({ host, src = `http://${host}/gotalk/gotalk.js`, protocol = 'http:' }) {
  const scope = vm.createContext({
    console, setTimeout, clearTimeout, setInterval, clearInterval, queueMicrotask, TextEncoder, TextDecoder, WebSocket,
    AbortController, DOMException,
    document: { currentScript: { src } },
    location: { host, protocol },
  });
  vm.runInContext(text, scope);
  return scope;
}

test('the script is what the sources say, and small', async () => {
  assert.equal(text, await script(), 'run `node build.js`');
  const size = gzipSync(text, { level: 9 }).length;
  assert.ok(size < SCRIPT_GZIP_BYTES_MAX, `${size} bytes gzipped`);
  assert.ok(!/\beval\b|new Function/.test(text), 'a strict Content-Security-Policy allows it');
  assert.equal(JSON.parse(readFileSync(new URL('../package.json', import.meta.url))).version, version);
});

test('a page gets one global, with everything that pages use', () => {
  const scope = page({ host: 'example.org' });
  const { gotalk } = scope;
  assert.equal(Object.keys(scope).at(-1), 'gotalk');
  assert.ok(!('module' in scope));
  const names = [
    'version', 'protocol', 'Buf', 'developmentMode', 'defaultResponderAddress', 'ErrAbnormal', 'ErrUnsupported',
    'ErrInvalidMsg', 'ErrTimeout', 'Sock', 'Handlers', 'open', 'connection', 'defaultHandlers', 'handle',
    'handleBufferRequest', 'handleNotification', 'handleBufferNotification',
  ];
  for (const name of names) assert.notEqual(gotalk[name], undefined, name);
  const sock = gotalk.Sock(gotalk.Handlers(), gotalk.protocol.text);
  const members = [
    'handlers', 'protocol', 'heartbeatInterval', 'ws', 'keepalive', 'sendBufferLimit', 'open', 'openKeepAlive',
    'request', 'bufferRequest', 'requestp', 'bufferRequestp', 'streamRequest', 'notify', 'bufferNotify',
    'sendHeartbeat', 'startSendingHeartbeats', 'stopSendingHeartbeats', 'startReading', 'handshake', 'adopt',
    'adoptWebSocket', 'address', 'end', 'closeError', 'sendMsg', 'handleMsg', 'on', 'addListener', 'once',
    'removeListener', 'removeAllListeners', 'listeners', 'emit',
  ];
  for (const name of members) assert.notEqual(sock[name], undefined, name);
  assert.ok(sock instanceof gotalk.Sock && new gotalk.Sock() instanceof gotalk.Sock);
  for (const name of ['handleRequest', 'handleBufferRequest', 'handleNotification', 'handleBufferNotification', 'findRequestHandler', 'findNotificationHandler']) {
    assert.equal(typeof gotalk.defaultHandlers[name], 'function', name);
  }
  for (const name of ['write', 'end', 'on']) assert.equal(typeof gotalk.StreamRequest.prototype[name], 'function', name);
});

test('a page connects to where its script came from', () => {
  const cases = [
    [{ host: 'example.org' }, 'ws://example.org/gotalk/'],
    [{ host: 'example.org', src: 'https://other.org:8443/x/gotalk/gotalk.js?v=1', protocol: 'https:' }, 'wss://other.org:8443/x/gotalk/'],
    [{ host: 'example.org', src: 'https://example.org/vendor/gotalk.js', protocol: 'https:' }, 'wss://example.org/gotalk/'],
    [{ host: '', src: 'file:///home/x/gotalk.js', protocol: 'file:' }, ''],
  ];
  for (const [where, address] of cases) assert.equal(page(where).gotalk.defaultResponderAddress, address);
});

test('a chat page in the style of the original', async (t) => {
  const server = await listenWs(t);
  const scope = page({ host: `127.0.0.1:${server.port}` });
  vm.runInContext(
    `
    var log = [];
    gotalk.handleNotification('newmsg', function (m) { log.push(m.author + ': ' + m.body); });
    gotalk.handle('prompt', function (params, result) { setTimeout(function () { result(params.question + '!'); }, 1); });
    function onConnect(s) {
      s.request('list-messages', 'lobby', function (err, messages) {
        if (err) return log.push(err.stack);
        log.push(messages.length + ' messages');
      });
    }
    var s = gotalk.connection().on('open', onConnect).on('close', function (err) { log.push('closed'); });
    s.request('send-message', { room: 'lobby', message: { body: 'early 😀' } }, function (err, res) { log.push([err, res]); });
    `,
    scope,
  );
  const peer = await (await server.accept()).handshake();
  const early = await peer.next('r');
  assert.deepEqual([early.name, JSON.parse(early.payload).message.body], ['send-message', 'early 😀']);
  const list = await peer.next('r');
  assert.deepEqual([list.name, list.payload.toString()], ['list-messages', '"lobby"']);
  peer.send({ t: 'R', id: list.id, payload: '[1,2]' }, { t: 'R', id: early.id, payload: 'null' });
  peer.send({ t: 'n', name: 'newmsg', payload: '{"author":"ann","body":"hi"}' });
  peer.send({ t: 'r', id: 'abcd', name: 'prompt', payload: '{"question":"who"}' });
  assert.equal((await peer.next('R')).payload.toString(), '"who!"');
  assert.equal(JSON.stringify(scope.log), '["ann: hi","2 messages",[null,null]]');
  scope.s.end();
  await peer.closed;
});

test('in CommonJS the script is the module', async (t) => {
  const gotalk = createRequire(import.meta.url)('../dist/gotalk.js');
  assert.equal(gotalk.version, version);
  assert.equal(globalThis.gotalk, undefined);
  globalThis.WebSocket ??= WebSocket;
  const server = await listenWs(t);
  const connecting = gotalk.connect(server.address);
  const peer = await (await server.accept()).handshake();
  const sock = await connecting;
  const serving = sock.hub.serve({ upper: async (text) => text.toUpperCase() });
  peer.send({ t: 'R', id: (await peer.next('r')).id, payload: '{}' });
  await serving;
  peer.send({ t: 's', id: 's001', name: 'upper', payload: '"a' }, { t: 'p', id: 's001', payload: 'b"' }, { t: 'p', id: 's001', payload: '' });
  assert.equal((await peer.next('R')).payload.toString(), '"AB"');
  const stream = sock.stream('cat', ['a', 'b'], { as: 'text', timeout: 5000 });
  assert.deepEqual([(await peer.next('s')).payload.toString(), (await peer.next('p')).payload.toString()], ['a', 'b']);
  peer.send({ t: 'S', id: '!000', payload: 'x' }, { t: 'S', id: '!000', payload: '' });
  for await (const part of stream) assert.equal(part, 'x');
  await assert.rejects(sock.request('slow', 1, { timeout: 5 }), { name: 'TimeoutError' });
  sock.end(0);
});
