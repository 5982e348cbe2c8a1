/** The life of one connection. */

import assert from 'node:assert/strict';
import test from 'node:test';

import gotalk from './support/library.js';
import { pair } from './support/peer.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Those events of a sock that are awaited, as they come. */
function events(sock, ...names) {
  const seen = [];
  for (const name of names) sock.on(name, (...args) => seen.push([name, ...args]));
  return seen;
}

test('protocol errors are said by code, then the connection is closed', async (t) => {
  const cases = [
    ['02', 1, gotalk.ErrUnsupported], ['01x', 2, gotalk.ErrInvalidMsg], ['01n00g', 2, gotalk.ErrInvalidMsg],
    ['01p000000000001x', 2, gotalk.ErrInvalidMsg], ['01r0000001a7fffffff', 2, gotalk.ErrInvalidMsg],
  ];
  for (const [text, code, error] of cases) {
    const { sock, peer, wire } = await fresh(t);
    const seen = events(sock, 'close');
    wire.onmessage({ data: text });
    wire.onmessage({ data: '01n001a00000000' });
    await peer.next('v');
    assert.equal((await peer.next('f')).code, code, text);
    assert.equal(await peer.closed, 4000 + code);
    await turn();
    assert.deepEqual(seen, [['close', error]]);
    assert.equal(sock.state, 'closed');
  }
});

/** One whose peer has said nothing yet. */
async function fresh(t, options) {
  const wire = { readyState: 1, protocol: 'switchboard.1', bufferedAmount: 0 };
  const sock = Object.assign(new gotalk.Sock(new gotalk.Handlers()), { heartbeatInterval: 0, ...options });
  const { Peer } = await import('./support/peer.js');
  const peer = new Peer({ send: (bytes) => wire.onmessage?.({ data: Uint8Array.from(bytes).buffer }), close: () => {}, cut: () => {} });
  wire.send = (data) => peer.received(Buffer.from(data));
  wire.close = (code) => {
    wire.readyState = 3;
    peer.onClosed(code);
    queueMicrotask(() => wire.onclose?.({ code }));
  };
  sock.adoptWebSocket(wire);
  t.after(() => sock.end(0));
  return { sock, peer, wire };
}

test('a stream waits for a connection, however long it is', async (t) => {
  const { sock, peer } = await fresh(t);
  const body = Array.from({ length: 500 }, (_, index) => `${index} `);
  let taken = 0;
  const counted = (function* () {
    for (const part of body) yield (taken++, part);
  })();
  sock.stream('cat', counted);
  await turn();
  assert.equal(taken, 1, 'it is not read before it can be sent');
  peer.send(Buffer.from('01'));
  await peer.next('v');
  let got = (await peer.next('s')).payload.toString();
  for (let part; (part = (await peer.next('p')).payload.toString()); ) got += part;
  assert.equal(got, body.join(''));
});

test('a protocol error of the other side closes without an answer', async (t) => {
  const errors = [gotalk.ErrAbnormal, gotalk.ErrUnsupported, gotalk.ErrInvalidMsg, gotalk.ErrTimeout];
  for (const [code, closeCode] of [[0, 4000], [1, 4001], [2, 4002], [3, 4003], [9, 4009], [0xffffffff, 4002]]) {
    const { sock, peer } = pair(t, gotalk);
    const seen = events(sock, 'close');
    await peer.next('v');
    peer.send({ t: 'f', code }, { t: 'n', name: 'x', payload: '' });
    assert.equal(await peer.closed, closeCode);
    await turn();
    assert.deepEqual(seen, [['close', errors[code] ?? gotalk.ErrInvalidMsg]]);
    assert.equal(seen[0][1].isGotalkProtocolError, true);
    assert.equal(peer.frames.length, 1, 'nothing but the version was sent');
  }
});

test('a close without a word fails what is open', async (t) => {
  for (const [code, clean] of [[1000, true], [1001, true], [1005, true], [1006, false], [1011, false]]) {
    const { sock, peer } = pair(t, gotalk);
    const seen = events(sock, 'close');
    const answer = sock.request('x');
    peer.close(code);
    await assert.rejects(answer, { message: 'connection closed', closed: true, retry: true });
    assert.equal(seen.length, 1);
    assert.equal(seen[0][1] === null, clean, String(code));
    assert.equal(sock.ws, null);
    await assert.rejects(sock.request('x'), { closed: true });
  }
});

test('end waits for what is open on either side', async (t) => {
  const { sock, peer } = pair(t, gotalk);
  let result;
  sock.handlers.handleRequest('slow', (params, answer) => void (result = answer));
  const answer = sock.request('x');
  await peer.next('v');
  const { id } = await peer.next('r');
  peer.send({ t: 'r', id: 'r001', name: 'slow', payload: '' });
  sock.end();
  assert.equal(sock.state, 'ending');
  await assert.rejects(sock.request('late'), { message: 'connection closed' });
  peer.send({ t: 'r', id: 'r002', name: 'slow', payload: '' });
  assert.equal((await peer.next('e')).payload.toString(), 'shutting down');
  peer.send({ t: 'R', id, payload: '1' });
  assert.equal(await answer, 1);
  assert.ok(sock.ws);
  result(2);
  assert.equal((await peer.next('R')).payload.toString(), '2');
  assert.equal(await peer.closed, 1000);
  await turn();
  assert.equal(sock.state, 'closed');
});

test('end waits no longer than its grace', async (t) => {
  const { sock, peer } = pair(t, gotalk);
  const answer = sock.request('x');
  sock.end(10);
  await assert.rejects(answer, { closed: true });
  assert.equal(await peer.closed, 1000);
});

test('heartbeats: the first at once, then at the interval, with the load', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'Date'], now: 1_700_000_000_000 });
  const { sock, peer } = pair(t, gotalk, { heartbeatInterval: 20_000 });
  assert.deepEqual(await peer.next('h'), { t: 'h', load: 0, time: 1_700_000_000 });
  t.mock.timers.tick(19_999);
  t.mock.timers.tick(1);
  assert.equal((await peer.next('h')).time, 1_700_000_020);
  sock.stopSendingHeartbeats();
  t.mock.timers.tick(100_000);
  const before = peer.frames.length;
  await Promise.resolve();
  assert.equal(peer.frames.length, before);
  sock.sendHeartbeat(77);
  assert.equal((await peer.next('h')).load, 77);
  sock.startSendingHeartbeats();
  assert.equal((await peer.next('h')).time, 1_700_000_120);
  sock.end();
});

test('a heartbeat of the other side is an event, and lets a sleeping tab send its own', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'Date'], now: 1_700_000_000_000 });
  const { sock, peer } = pair(t, gotalk, { heartbeatInterval: 20_000 });
  const seen = events(sock, 'heartbeat');
  peer.send({ t: 'h', load: 255, time: 0x80000000 });
  assert.deepEqual(seen, [['heartbeat', { time: new Date(0x80000000 * 1000), load: 255 }]]);
  await peer.next('h');
  // The timers are held up: only messages wake the page.
  t.mock.timers.setTime(1_700_000_016_000);
  peer.send({ t: 'h', load: 0, time: 1 });
  assert.equal((await peer.next('h')).time, 1_700_000_016);
  sock.end();
});

test('silence of one who sends heartbeats is a time-out', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'Date'], now: 0 });
  const { sock, peer } = pair(t, gotalk);
  const seen = events(sock, 'close');
  t.mock.timers.tick(100_000);
  assert.equal(sock.state, 'open', 'one who never sent any may have nothing to say');
  peer.send({ t: 'h', load: 0, time: 0 });
  t.mock.timers.tick(29_000);
  peer.send({ t: 'n', name: 'x', payload: '' });
  t.mock.timers.tick(29_999);
  assert.equal(sock.state, 'open');
  t.mock.timers.tick(30_001);
  assert.equal(sock.state, 'closed');
  assert.deepEqual(seen, [['close', gotalk.ErrTimeout]]);
  await peer.next('v');
  assert.equal((await peer.next('f')).code, 3);
  assert.equal(await peer.closed, 4003);
});

test('a message that does not end is a time-out', (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'Date'], now: 0 });
  const { sock, wire } = pair(t, gotalk);
  wire.onmessage({ data: 'n001a0000000' });
  t.mock.timers.tick(60_001);
  assert.equal(sock.state, 'closed');
});

test('one who does not say its version is given up', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'Date'], now: 0 });
  const { sock } = await fresh(t);
  const seen = events(sock, 'close');
  t.mock.timers.tick(20_000);
  assert.deepEqual(seen, [['close', gotalk.ErrTimeout]]);
});

test('one who does not close is not waited for', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'Date'], now: 0 });
  const { sock, wire } = pair(t, gotalk);
  wire.close = () => (wire.readyState = 2);
  sock.end();
  assert.equal(sock.state, 'ending');
  t.mock.timers.tick(2000);
  assert.equal(sock.state, 'closed');
});

test('messages in pieces, over frames of either kind', async (t) => {
  const { sock, wire } = pair(t, gotalk);
  const got = [];
  sock.handlers.handleNotification('', (value, name) => got.push([name, value]));
  wire.onmessage({ data: 'n004h' });
  wire.onmessage({ data: new Uint8Array(Buffer.from('éy0000')).buffer });
  wire.onmessage({ data: '' });
  wire.onmessage({ data: '0006"😀"n001b00000001' });
  wire.onmessage({ data: Buffer.from('1n001c00000000') });
  assert.deepEqual(got, [['héy', '😀'], ['b', 1], ['c', null]]);
});

test('hostile bytes never throw out of the reader', async (t) => {
  const errors = t.mock.method(console, 'error', () => {});
  let seed = 1;
  const next = (below) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const starts = ['r0001004echo0000', 's0001003cat', 'p0001', 'R0000', 'S0000', 'E0000', 'e0000', 'n00', 'h', 'f', 'nfff'];
  for (let round = 0; round < 1500; round++) {
    const { sock, wire } = pair(t, gotalk, { payloadLimit: 1000 });
    sock.handlers.handleRequest('', (params) => params);
    sock.request('x').catch(() => {});
    for (let count = 0; count < 5; count++) {
      const tail = Buffer.from(Array.from({ length: next(30) }, () => (next(2) ? 0x30 + next(10) : next(256))));
      wire.onmessage?.({ data: Buffer.concat([Buffer.from(starts[next(starts.length)]), tail]) });
    }
    sock.end(0);
  }
  assert.equal(errors.mock.callCount(), 0, String(errors.mock.calls[0]?.arguments[0]?.stack));
});

test('many messages of one turn share a frame; a large one goes at once', async (t) => {
  const { sock, peer } = pair(t, gotalk);
  await peer.next('v');
  const before = peer.frames.length;
  for (let count = 0; count < 100; count++) sock.notify('x', count);
  await peer.next('n');
  assert.equal(peer.frames.length - before, 1);
  const buffer = new Uint8Array(100_000).fill(1);
  sock.bufferNotify('y', buffer);
  buffer.fill(2);
  for (let count = 0; count < 99; count++) await peer.next('n');
  assert.ok((await peer.next('n')).payload.every((byte) => byte === 1));
});

test('to others each piece goes in a frame of its own: headers binary, strings as text', async (t) => {
  const { sock, peer } = pair(t, gotalk, {}, { protocol: '' });
  sock.notify('a', '😀');
  sock.bufferNotify('b', new Uint8Array([1]));
  sock.notify('c');
  assert.deepEqual(
    peer.frames.map(({ text, bytes }) => [text, bytes.toString()]),
    [[false, '01'], [false, 'n001a00000006'], [true, '"😀"'], [false, 'n001b00000001'], [false, '\x01'], [false, 'n001c00000000']],
  );
});

test('writers wait while the wire is full', async (t) => {
  const { sock, peer, wire } = pair(t, gotalk);
  const request = sock.streamRequest('x');
  wire.bufferedAmount = 2 << 20;
  let written = false;
  const writing = request.write('x').then(() => (written = true));
  await peer.next('v');
  await peer.next('s');
  assert.equal(written, false);
  wire.bufferedAmount = 0;
  await writing;
});

test('single messages by hand', async (t) => {
  const { sock, peer } = pair(t, gotalk);
  await peer.next('v');
  sock.sendMsg('e', 'abcd', null, 7, 'busy');
  const message = await peer.next('e');
  assert.deepEqual([message.id, message.wait, message.payload.toString()], ['abcd', 7, 'busy']);
  const got = [];
  sock.handlers.handleNotification('x', (value) => got.push(value));
  sock.handleMsg({ t: 'n', name: 'x' }, '5');
  assert.deepEqual(got, [5]);
});

test('both sides can be socks', async (t) => {
  const left = new gotalk.Sock(new gotalk.Handlers());
  const right = new gotalk.Sock(new gotalk.Handlers());
  const wires = [left, right].map(() => ({ readyState: 1, bufferedAmount: 0, protocol: 'switchboard.1' }));
  wires.forEach((wire, index) => {
    wire.send = (data) => queueMicrotask(() => wires[1 - index].onmessage?.({ data }));
    wire.close = (code) => {
      wire.readyState = 3;
      queueMicrotask(() => {
        wires[1 - index].onclose?.({ code });
        wire.onclose?.({ code });
      });
    };
  });
  for (const [sock, wire] of [[left, wires[0]], [right, wires[1]]]) {
    sock.adopt(wire);
    sock.startReading();
    sock.handshake();
  }
  right.handlers.handleRequest('double', (value) => value * 2);
  left.handlers.handleStreamRequest('upper', async function* (body) {
    for await (const part of body) yield new TextDecoder().decode(part).toUpperCase();
  });
  assert.equal(await left.request('double', 21), 42);
  const parts = [];
  for await (const part of right.stream('upper', ['a', 'b'], { as: 'text' })) parts.push(part);
  assert.equal(parts.join(''), 'AB');
  const closed = new Promise((resolve) => right.on('close', resolve));
  left.end();
  assert.equal(await closed, null);
});
