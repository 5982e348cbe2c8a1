/** Connections that come back: over real WebSockets, and with made-up ones where time matters. */

import assert from 'node:assert/strict';
import test from 'node:test';

import gotalk from '../src/node.js';
import { dialers } from '../src/dial.js';
import { Peer, listenWs } from './support/peer.js';

const opened = async (sock) => sock.state === 'open' || (await event(sock, 'open'));

const event = (sock, name) => new Promise((resolve) => sock.once(name, resolve));

/**
 * Connections to nowhere, which the test opens and closes.
 * @returns {Array<object>} wires in the order in which they were dialled
 */
function fakeDials(t) {
  const wires = [];
  dialers.fake = dialers.wsfake = (address, protocols) => {
    const wire = { address, protocols, readyState: 0, protocol: 'switchboard.1', bufferedAmount: 0 };
    const peer = new Peer({ send: (bytes) => wire.onmessage?.({ data: Buffer.from(bytes) }) });
    wire.peer = peer;
    wire.send = (data) => peer.received(Buffer.from(data));
    wire.close = (code) => wire.cut(code);
    wire.cut = (code = 1006) => {
      wire.readyState = 3;
      wire.onclose?.({ code });
    };
    wire.open = () => {
      wire.readyState = 1;
      wire.onopen({});
      peer.send(Buffer.from('01'));
    };
    wires.push(wire);
    return wire;
  };
  t.after(() => delete dialers.fake && delete dialers.wsfake);
  return wires;
}

test('it comes back, and what listens, waits and is handled stays', async (t) => {
  const server = await listenWs(t);
  const handlers = new gotalk.Handlers();
  handlers.handleRequest('double', (value) => value * 2);
  const sock = gotalk.connection(server.address, handlers);
  t.after(() => sock.end(0));
  const closes = [];
  let opens = 0;
  sock.on('close', (error) => closes.push(error)).on('open', () => opens++);
  for (let round = 1; round <= 3; round++) {
    const early = sock.request('early', round);
    const peer = await (await server.accept()).handshake();
    const request = await peer.next('r');
    assert.equal(request.name, 'early');
    peer.send({ t: 'R', id: request.id, payload: '"x"' });
    assert.equal(await early, 'x');
    peer.send({ t: 'r', id: 'abcd', name: 'double', payload: '4' });
    assert.equal((await peer.next('R')).payload.toString(), '8');
    const open = sock.request('never');
    await peer.next('r');
    const closed = event(sock, 'close');
    if (round % 2) peer.cut();
    else peer.close(1000);
    await closed;
    await assert.rejects(open, { closed: true });
    assert.equal(sock.state, 'waiting');
    if (round === 3) break;
  }
  assert.equal(opens, 3);
  assert.equal(closes.length, 3);
  assert.equal(closes[1], null);
});

test('rests double between tries that come to nothing', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 0 });
  t.mock.method(Math, 'random', () => 0);
  const wires = fakeDials(t);
  const sock = gotalk.connection('fake://x', new gotalk.Handlers());
  const states = [];
  sock.on('state', (state) => states.push(state)).on('close', () => states.push('CLOSE'));
  for (const rest of [500, 1000, 2000, 4000, 5000, 5000]) {
    const count = wires.length;
    wires.at(-1).cut();
    t.mock.timers.tick(rest - 1);
    assert.equal(wires.length, count, `not before ${rest} ms`);
    t.mock.timers.tick(1);
    assert.equal(wires.length, count + 1, `after ${rest} ms`);
  }
  assert.ok(!states.includes('CLOSE'), 'what never was open does not close');
  wires.at(-1).open();
  assert.equal(sock.state, 'open');
  t.mock.timers.tick(5000);
  wires.at(-1).cut();
  const count = wires.length;
  t.mock.timers.tick(500);
  assert.equal(wires.length, count + 1, 'they begin anew after a connection that lasted');
  sock.end();
  assert.equal(sock.state, 'closed');
  t.mock.timers.tick(100_000);
  assert.equal(wires.length, count + 1, 'nothing more after the end');
});

test('after a time-out it comes back at once', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1 });
  const wires = fakeDials(t);
  const sock = gotalk.connection('fake://x', new gotalk.Handlers());
  wires[0].open();
  wires[0].peer.send({ t: 'f', code: 3 });
  t.mock.timers.tick(0);
  assert.equal(wires.length, 2);
  wires[1].open();
  wires[1].peer.send({ t: 'f', code: 3 });
  t.mock.timers.tick(100);
  assert.equal(wires.length, 2, 'but not over and over');
  sock.end();
});

test('while the network is away it waits for it', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 0 });
  const wires = fakeDials(t);
  const target = new EventTarget();
  const network = { onLine: true };
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  Object.defineProperty(globalThis, 'navigator', { value: network, configurable: true });
  globalThis.addEventListener = target.addEventListener.bind(target);
  globalThis.removeEventListener = target.removeEventListener.bind(target);
  t.after(() => {
    delete globalThis.addEventListener;
    delete globalThis.removeEventListener;
    delete globalThis.navigator;
    if (before) Object.defineProperty(globalThis, 'navigator', before);
  });
  const sock = gotalk.connection('fake://example.org', new gotalk.Handlers());
  wires[0].open();
  network.onLine = false;
  wires[0].cut();
  t.mock.timers.tick(60_000);
  assert.equal(wires.length, 1);
  network.onLine = true;
  target.dispatchEvent(new Event('online'));
  assert.equal(wires.length, 2);
  target.dispatchEvent(new Event('online'));
  assert.equal(wires.length, 2, 'once');
  wires[1].cut();
  assert.equal(wires.length, 2);
  target.dispatchEvent(new Event('online'));
  assert.equal(wires.length, 3, 'a rest ends early when the network comes back');
  sock.end();
});

test('end during a rest, while connecting, and with something waiting', async (t) => {
  const wires = fakeDials(t);
  const resting = gotalk.connection('fake://x', new gotalk.Handlers());
  const lost = resting.request('x');
  wires[0].cut();
  resting.end();
  await assert.rejects(lost, { closed: true });
  assert.equal(resting.state, 'closed');
  const connecting = gotalk.connection('fake://x', new gotalk.Handlers());
  connecting.end();
  assert.equal(connecting.state, 'closed');
  const waiting = gotalk.connection('fake://x', new gotalk.Handlers());
  const answer = waiting.request('x');
  waiting.end();
  assert.equal(waiting.state, 'ending');
  wires.at(-1).open();
  const { peer } = wires.at(-1);
  await peer.next('v');
  peer.send({ t: 'R', id: (await peer.next('r')).id, payload: '1' });
  assert.equal(await answer, 1);
  assert.equal(waiting.state, 'closed');
});

test('an end while connecting is no reason to try without the sub-protocol', (t) => {
  const wires = fakeDials(t);
  const sock = gotalk.connection('wsfake://x', new gotalk.Handlers());
  assert.deepEqual(wires[0].protocols, ['switchboard.1']);
  sock.end();
  assert.equal(sock.state, 'closed');
  const other = gotalk.connection('wsfake://x', new gotalk.Handlers());
  wires[1].cut();
  assert.deepEqual(wires[2].protocols, []);
  other.end();
  assert.equal(wires.length, 3);
});

test('open tells once whether it worked', async (t) => {
  const server = await listenWs(t);
  const told = new Promise((resolve) => gotalk.open(server.address, (...args) => resolve(args)));
  await (await server.accept()).handshake();
  const [error, sock] = await told;
  assert.equal(error, null);
  assert.equal(sock.state, 'open');
  assert.equal(sock.address(), server.address);
  assert.throws(() => sock.open(server.address), { message: 'open already' });
  sock.end();
  await event(sock, 'close');
  sock.open(server.address);
  await (await server.accept()).handshake();
  await opened(sock);
  sock.end();
  await server.close();
  const failed = await new Promise((resolve) => gotalk.open(server.address, (...args) => resolve(args)));
  assert.ok(failed[0] instanceof Error);
  await assert.rejects(gotalk.connect(server.address), { message: 'connection closed' });
  const lone = gotalk.open(server.address);
  assert.ok((await event(lone, 'close')) instanceof Error);
  assert.throws(() => gotalk.open('ws://'));
});

test('a server that does not know our sub-protocol', async (t) => {
  const server = await listenWs(t, { ours: false });
  const sock = gotalk.connection(server.address, new gotalk.Handlers());
  t.after(() => sock.end(0));
  for (let round = 0; round < 2; round++) {
    const peer = await (await server.accept()).handshake();
    await opened(sock);
    const answer = sock.request('echo', 'x');
    const { id } = await peer.next('r');
    // As the original sends: header and payload each in a frame.
    for (const piece of [`R${id}00000003`, '"x"']) peer.wire.send(Buffer.from(piece));
    assert.equal(await answer, 'x');
    assert.ok(peer.frames.some(({ text, bytes }) => text && bytes.toString() === '"x"'), 'and so are we');
    if (!round) peer.cut();
  }
  assert.deepEqual(server.offers, ['switchboard.1', undefined, undefined], 'asked once, remembered then');
});

test('a server that learns our sub-protocol', async (t) => {
  const old = await listenWs(t, { ours: false });
  const sock = gotalk.connection(old.address, new gotalk.Handlers());
  t.after(() => sock.end(0));
  await (await old.accept()).handshake();
  await opened(sock);
  await old.close();
  // A try comes to nothing: who knows what will be there next.
  const states = [];
  await new Promise((resolve) =>
    sock.on('state', (state) => states.push(state) && state === 'waiting' && states.includes('connecting') && resolve()),
  );
  const next = await listenWs(t, { port: old.port });
  const peer = await (await next.accept()).handshake();
  await opened(sock);
  sock.notify('x');
  await peer.next('n');
  assert.equal(next.offers.at(-1), 'switchboard.1');
});

test('500 in one process come, talk, are cut off and come back', async (t) => {
  const server = await listenWs(t);
  const socks = Array.from({ length: 500 }, () => gotalk.connection(server.address, new gotalk.Handlers()));
  t.after(() => socks.forEach((sock) => sock.end(0)));
  const echo = (peer) => {
    peer.answer = ({ t: type, id, payload }) => {
      if (type === 'r') peer.send({ t: 'R', id, payload });
      return true;
    };
    peer.wire.send(Buffer.from('01'));
  };
  for (let round = 0; round < 2; round++) {
    const answers = socks.map((sock, index) => sock.request('echo', index));
    const peers = [];
    for (let count = 0; count < socks.length; count++) {
      peers.push(await server.accept());
      echo(peers.at(-1));
    }
    assert.deepEqual(await Promise.all(answers), socks.map((_, index) => index));
    const closed = Promise.all(socks.map((sock) => event(sock, 'close')));
    peers.forEach((peer) => peer.cut());
    await closed;
  }
});

test('10 MB each way, over a WebSocket', async (t) => {
  const server = await listenWs(t);
  const sock = gotalk.open(server.address, null, new gotalk.Handlers());
  const peer = await (await server.accept()).handshake();
  peer.answer = ({ t: type, id, payload }) => {
    if (type === 's' || type === 'p') peer.send({ t: 'S', id, payload });
    return type !== 'v';
  };
  const part = new Uint8Array(64 << 10).map((_, index) => index * 7);
  let sent = 0;
  const body = (async function* () {
    for (; sent < 160; sent++) yield part;
  })();
  let size = 0;
  for await (const got of sock.stream('cat', body)) {
    assert.deepEqual(got, part);
    size += got.length;
  }
  assert.equal(size, 160 * part.length);
  sock.end(0);
});
