/** Node only: TCP, TLS and Unix sockets. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import tls from 'node:tls';

import gotalk, { StreamSocket } from '../src/node.js';
import { listenStream, listenWs } from './support/peer.js';

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'gotalk-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** A sock and its peer over TCP, or over a Unix socket. */
async function talk(t, path, options) {
  const server = await listenStream(t, path);
  const connecting = gotalk.connect(server.address, { handlers: new gotalk.Handlers(), ...options });
  const peer = await (await server.accept()).handshake();
  const sock = await connecting;
  t.after(() => sock.end(0));
  return { sock, peer, server };
}

for (const kind of ['tcp', 'unix']) {
  test(`requests both ways over ${kind}`, async (t) => {
    const { sock, peer } = await talk(t, kind === 'unix' ? join(folder(t), 'gotalk.sock') : undefined);
    sock.handlers.handleBufferRequest('reverse', (bytes) => {
      assert.equal(Object.getPrototypeOf(bytes), Uint8Array.prototype, 'as in browsers');
      return bytes.toReversed?.() ?? Uint8Array.from(bytes).reverse();
    });
    const answer = sock.request('echo', '😀');
    const { id, payload } = await peer.next('r');
    peer.send({ t: 'R', id, payload });
    assert.equal(await answer, '😀');
    peer.send({ t: 'r', id: 'abcd', name: 'reverse', payload: 'abc' });
    assert.equal((await peer.next('R')).payload.toString(), 'cba');
    const closed = once(peer.socket, 'end');
    sock.end();
    await closed;
    peer.close();
    await new Promise((resolve) => sock.once('close', resolve));
    assert.equal(sock.state, 'closed');
  });
}

test('it comes back over TCP', async (t) => {
  const server = await listenStream(t);
  const sock = gotalk.connection(server.address, new gotalk.Handlers());
  t.after(() => sock.end(0));
  for (let round = 0; round < 2; round++) {
    const answer = sock.request('x', round);
    const peer = await (await server.accept()).handshake();
    peer.send({ t: 'R', id: (await peer.next('r')).id, payload: '1' });
    assert.equal(await answer, 1);
    const closed = new Promise((resolve) => sock.once('close', resolve));
    if (round) peer.close();
    else peer.cut();
    assert.equal((await closed) === null, round === 1, 'a reset is an error, an end is none');
  }
});

test('nobody there', async () => {
  await assert.rejects(gotalk.connect('tcp://127.0.0.1:1'), { message: 'connection closed' });
  await assert.rejects(gotalk.connect('unix:///nowhere/at/all.sock'), { message: 'connection closed' });
});

test('a half-closed connection: what was asked is still answered', async (t) => {
  const { sock, peer } = await talk(t);
  let result;
  sock.handlers.handleRequest('slow', (params, answer) => void (result = answer));
  const lost = sock.request('x');
  await peer.next('r');
  peer.send({ t: 'r', id: 'r001', name: 'slow', payload: '' });
  peer.close();
  await assert.rejects(lost, { closed: true });
  result('late, but there');
  assert.equal((await peer.next('R')).payload.toString(), '"late, but there"');
  await once(peer.socket, 'end');
});

test('last words come before the close', async (t) => {
  const { peer } = await talk(t);
  peer.wire.send(Buffer.from('x'));
  assert.equal((await peer.next('f')).code, 2);
  await once(peer.socket, 'end');
});

test('a slow reader holds the other side up, and gets everything', async (t) => {
  const { sock, peer } = await talk(t);
  const parts = 320;
  const stream = sock.stream('big');
  const { id } = await peer.next('r');
  const part = Buffer.alloc(128 << 10, 5);
  for (let count = 0; count < parts; count++) peer.send({ t: 'S', id, payload: part });
  peer.send({ t: 'S', id, payload: '' });
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(stream.bytes < 4 << 20, `${stream.bytes} bytes wait`);
  assert.ok(peer.socket.writableLength > 1 << 20, 'the rest is still there');
  let size = 0;
  for await (const got of stream) size += got.length;
  assert.equal(size, parts * part.length);
  const answer = sock.request('after');
  peer.send({ t: 'R', id: (await peer.next('r')).id, payload: '1' });
  assert.equal(await answer, 1);
});

test('a reader that stands still fails alone', async (t) => {
  const { sock, peer } = await talk(t, undefined, { readTimeout: 100 });
  const stream = sock.stream('big');
  const { id } = await peer.next('r');
  for (let count = 0; count < 40; count++) peer.send({ t: 'S', id, payload: Buffer.alloc(128 << 10) });
  const other = sock.request('other', 1, { timeout: 5000 });
  const request = await peer.next('r');
  peer.send({ t: 'R', id: request.id, payload: '1' });
  assert.equal(await other, 1);
  await assert.rejects(stream.next(), { message: 'not read in time' });
});

test('a WebSocket of the package ws holds the other side up too', async (t) => {
  const server = await listenWs(t);
  const connecting = gotalk.connect(server.address, { handlers: new gotalk.Handlers(), dialOptions: { maxPayload: 1 << 24 } });
  const peer = await (await server.accept()).handshake();
  const sock = await connecting;
  t.after(() => sock.end(0));
  const stream = sock.stream('big');
  const { id } = await peer.next('r');
  const part = Buffer.alloc(128 << 10, 5);
  for (let count = 0; count < 320; count++) peer.send({ t: 'S', id, payload: part });
  peer.send({ t: 'S', id, payload: '' });
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(stream.bytes < 8 << 20, `${stream.bytes} bytes wait`);
  let size = 0;
  for await (const got of stream) size += got.length;
  assert.equal(size, 320 * part.length);
});

test('10 MB each way over TCP, in bounded memory', async (t) => {
  const { sock, peer } = await talk(t);
  peer.answer = ({ t: type, id, payload }) => {
    if (type === 's' || type === 'p') peer.send({ t: 'S', id, payload });
    return true;
  };
  let most = 0;
  const body = (async function* () {
    for (let count = 0; count < 160; count++) {
      most = Math.max(most, sock.ws.bufferedAmount);
      yield new Uint8Array(64 << 10).fill(count);
    }
  })();
  let size = 0;
  for await (const part of sock.stream('cat', body)) {
    assert.equal(part[0], (size / part.length) & 255);
    size += part.length;
  }
  assert.equal(size, 160 * (64 << 10));
  assert.ok(most < 3 << 20, `${most} bytes waited to be sent`);
});

test('TLS, with a certificate that is checked', async (t) => {
  const path = folder(t);
  const [key, cert] = [join(path, 'key.pem'), join(path, 'cert.pem')];
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', cert,
  ], { stdio: 'ignore' });
  const server = tls.createServer({ key: readFileSync(key), cert: readFileSync(cert) });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socks = [];
  server.on('secureConnection', (socket) => {
    const sock = new gotalk.Sock(new gotalk.Handlers());
    sock.handlers.handleRequest('echo', (value) => value);
    sock.adoptWebSocket(new StreamSocket(socket));
    socks.push(sock);
  });
  server.on('tlsClientError', () => {});
  t.after(() => {
    socks.forEach((sock) => sock.end(0));
    server.close();
  });
  for (const host of ['127.0.0.1', 'localhost']) {
    const address = `tls://${host}:${server.address().port}`;
    await assert.rejects(gotalk.connect(address), { message: 'connection closed' });
    const sock = await gotalk.connect(address, { dialOptions: { ca: readFileSync(cert) } });
    assert.equal(await sock.request('echo', '😀'), '😀');
    sock.end();
  }
});
