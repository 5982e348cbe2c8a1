/** Requests of this side. */

import assert from 'node:assert/strict';
import test from 'node:test';

import gotalk from './support/library.js';
import { pair } from './support/peer.js';

/** Ready to talk. */
async function talk(t, options, wire) {
  const both = pair(t, gotalk, options, wire);
  await both.peer.next('v');
  return both;
}

/** Answers every request with its own payload. */
function echo(peer) {
  peer.answer = ({ t, id, payload }) => {
    if (t !== 'r') return false;
    queueMicrotask(() => peer.send({ t: 'R', id, payload }));
    return true;
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('JSON values cross, non-BMP strings too', async (t) => {
  const { sock, peer } = await talk(t);
  echo(peer);
  for (const value of [null, 0, '', 'é€😀👩‍👩‍👧‍👦', [1, 'a', { b: null }], { '😀': '\u2028' }, true]) {
    assert.deepEqual(await sock.request('echo', value), value);
  }
  assert.equal(await sock.request('echo'), null, 'nothing sent, nothing back');
});

test('bytes of every kind cross', async (t) => {
  const { sock, peer } = await talk(t);
  echo(peer);
  const bytes = Uint8Array.from({ length: 16 }, (_, index) => 255 - index);
  for (const Type of [Int8Array, Uint8ClampedArray, Uint16Array, Int32Array, Float32Array, Float64Array, BigInt64Array]) {
    assert.deepEqual(await sock.bufferRequest('echo', new Type(bytes.buffer)), bytes, Type.name);
  }
  assert.deepEqual(await sock.bufferRequest('echo', new DataView(bytes.buffer, 3, 4)), bytes.slice(3, 7));
  assert.deepEqual(await sock.bufferRequestp('echo', bytes.buffer), bytes);
  assert.equal(new TextDecoder().decode(await sock.bufferRequest('echo', '😀')), '😀');
  assert.equal((await sock.bufferRequest('echo', null)).length, 0);
  await assert.rejects(sock.bufferRequest('echo', {}), TypeError);
});

test('a callback gets the error or the value', async (t) => {
  const { sock, peer } = await talk(t);
  echo(peer);
  const got = await new Promise((resolve) => sock.request('echo', 1, (...args) => resolve(args)));
  assert.deepEqual(got, [null, 1]);
  const only = await new Promise((resolve) => sock.request('echo', (...args) => resolve(args)));
  assert.deepEqual(only, [null, null]);
  peer.answer = ({ id }) => !queueMicrotask(() => peer.send({ t: 'E', id, payload: 'naïve' }));
  const failed = await new Promise((resolve) => sock.bufferRequest('fail', '', (...args) => resolve(args)));
  assert.equal(failed.length, 1);
  assert.equal(failed[0].message, 'naïve');
  assert.ok(failed[0] instanceof Error);
});

test('a callback that throws harms nothing', async (t) => {
  const errors = t.mock.method(console, 'error', () => {});
  const { sock, peer } = await talk(t);
  echo(peer);
  await sock.request('echo', 1, () => {
    throw new Error('of the program');
  });
  assert.equal(errors.mock.callCount(), 1);
  assert.equal(await sock.request('echo', 2), 2);
});

test('answers come in any order; those nobody waits for are ignored', async (t) => {
  const { sock, peer } = await talk(t);
  const answers = [1, 2, 3].map((value) => sock.request('x', value));
  const ids = [];
  for (let count = 0; count < 3; count++) ids.push((await peer.next('r')).id);
  assert.deepEqual(ids, ['0000', '0001', '0002']);
  peer.send({ t: 'R', id: 'none', payload: '0' }, { t: 'E', id: '!000', payload: '' }, { t: 'S', id: '    ', payload: '' });
  for (const id of ids.reverse()) peer.send({ t: 'R', id, payload: JSON.stringify(id) });
  assert.deepEqual(await Promise.all(answers), ['0000', '0001', '0002']);
});

test('an answer that is no JSON is an error', async (t) => {
  const { sock, peer } = await talk(t);
  peer.answer = ({ id }) => !queueMicrotask(() => peer.send({ t: 'R', id, payload: '{' }));
  await assert.rejects(sock.request('x'), SyntaxError);
});

test('a streamed answer to a request is joined', async (t) => {
  const { sock, peer } = await talk(t, { payloadLimit: 10 });
  const joined = sock.bufferRequest('x');
  const { id } = await peer.next('r');
  peer.send({ t: 'S', id, payload: 'ab' }, { t: 'S', id, payload: 'cd' }, { t: 'S', id, payload: '' });
  assert.equal(new TextDecoder().decode(await joined), 'abcd');
  const tooLong = sock.bufferRequest('x');
  const next = await peer.next('r');
  peer.send(...Array(3).fill({ t: 'S', id: next.id, payload: '12345' }), { t: 'S', id: next.id, payload: '' });
  await assert.rejects(tooLong, RangeError);
});

test('an error after parts, and an empty end after an error', async (t) => {
  const { sock, peer } = await talk(t);
  const failed = sock.bufferRequest('x');
  const { id } = await peer.next('r');
  peer.send({ t: 'S', id, payload: 'ab' }, { t: 'E', id, payload: 'broken' }, { t: 'S', id, payload: '' });
  await assert.rejects(failed, { message: 'broken', retry: false });
});

test('a retry is honoured: the same request again after the wait', async (t) => {
  const { sock, peer } = await talk(t);
  const began = Date.now();
  const answer = sock.request('x', 'again');
  const first = await peer.next('r');
  peer.send({ t: 'e', id: first.id, wait: 120, payload: 'busy' });
  const other = sock.request('y');
  assert.equal((await peer.next('r')).name, 'y', 'others are not held back');
  const second = await peer.next('r');
  assert.ok(Date.now() - began >= 119);
  assert.equal(second.payload.toString(), '"again"');
  assert.notEqual(second.id, first.id);
  peer.send({ t: 'R', id: second.id, payload: '1' });
  assert.equal(await answer, 1);
  peer.send({ t: 'E', id: '0001', payload: 'over' });
  await assert.rejects(other);
});

test('retries are bounded in number and time, and the caller can have the wait', async (t) => {
  const { sock, peer } = await talk(t);
  let count = 0;
  let wait = 0;
  peer.answer = ({ id }) => !queueMicrotask(() => peer.send({ t: 'e', id, wait, payload: `busy ${++count}` }));
  await assert.rejects(sock.request('x', 1, { retries: 2 }), { message: 'busy 3', retry: true, waitMs: 0 });
  count = 0;
  wait = 700;
  await assert.rejects(sock.request('x', 1, { retries: 0 }), { message: 'busy 1', retry: true, waitMs: 700 });
  await assert.rejects(sock.request('x', 1, { retryTime: 600 }), { message: 'busy 2' });
  sock.retries = 0;
  await assert.rejects(sock.request('x'), { message: 'busy 3' });
});

test('a retry can be cancelled while it waits', async (t) => {
  const { sock, peer } = await talk(t);
  peer.answer = ({ id }) => !queueMicrotask(() => peer.send({ t: 'e', id, wait: 60_000, payload: '' }));
  const aborter = new AbortController();
  const answer = sock.request('x', 1, { signal: aborter.signal, retryTime: 1e6 });
  await turn();
  aborter.abort(new Error('enough'));
  await assert.rejects(answer, { message: 'enough' });
  await assert.rejects(sock.request('x', 1, { timeout: 20, retryTime: 1e6 }), { name: 'TimeoutError' });
});

test('a deadline gives the call up, and the other side is told', async (t) => {
  const { sock, peer } = await talk(t);
  const answer = sock.request('slow', 1, { timeout: 30 });
  const { id } = await peer.next('r');
  await assert.rejects(answer, { name: 'TimeoutError' });
  const cancel = await peer.next('n');
  assert.equal(cancel.name, 'hub.cancel');
  assert.equal(cancel.payload.toString(), Buffer.from(id, 'latin1').toString('hex'));
  peer.send({ t: 'R', id, payload: '1' });
  echo(peer);
  assert.equal(await sock.request('echo', 2), 2);
});

test('a signal gives the call up, before and after it was sent', async (t) => {
  const { sock, peer } = await talk(t);
  await assert.rejects(sock.request('x', 1, { signal: AbortSignal.abort(new Error('before')) }), { message: 'before' });
  assert.throws(() => sock.stream('x', '', { signal: AbortSignal.abort(new Error('before')) }), { message: 'before' });
  const aborter = new AbortController();
  const answer = sock.request('x', 1, { signal: aborter.signal });
  assert.equal((await peer.next()).t, 'r');
  aborter.abort();
  await assert.rejects(answer, { name: 'AbortError' });
  assert.equal((await peer.next('n')).name, 'hub.cancel');
});

test('one who does not know hub.cancel is not told', async (t) => {
  const { sock, peer } = await talk(t, {}, { protocol: '' });
  await assert.rejects(sock.request('x', 1, { timeout: 10 }));
  sock.notify('after');
  assert.equal((await peer.next('r')).name, 'x');
  assert.equal((await peer.next('n')).name, 'after');
});

test('what waits for a connection is bounded, and fails with it', async (t) => {
  const sock = new gotalk.Sock(new gotalk.Handlers());
  const answers = Array.from({ length: 100 }, () => sock.request('x'));
  await assert.rejects(sock.request('x', 1, { retries: 0 }), { message: 'send buffer full', retry: true });
  assert.throws(() => sock.notify('x'), { message: 'send buffer full' });
  const aborter = new AbortController();
  sock.sendBufferLimit = 101;
  const given = sock.request('x', 1, { signal: aborter.signal });
  aborter.abort();
  await assert.rejects(given);
  sock.notify('room again');
  sock.end();
  for (const answer of answers) await assert.rejects(answer, { message: 'connection closed', closed: true, retry: true });
  assert.throws(() => sock.notify('x'), { message: 'connection closed' });
  t.diagnostic(sock.state);
});

test('what is too large is not sent', async (t) => {
  const { sock, peer } = await talk(t, { payloadLimit: 5 });
  await assert.rejects(sock.bufferRequest('x', '123456'), RangeError);
  await assert.rejects(sock.request('x'.repeat(4096)), RangeError);
  assert.throws(() => sock.notify('😀'.repeat(1024)), RangeError);
  sock.notify('x'.repeat(4095));
  assert.equal((await peer.next('n')).name.length, 4095);
});

test('stream requests as events', async (t) => {
  const { sock, peer } = await talk(t);
  const request = sock.streamRequest('cat');
  const events = [];
  request.on('data', (data) => events.push(new TextDecoder().decode(data)));
  const ended = new Promise((resolve) => request.on('end', resolve));
  request.write('hello ');
  request.write('');
  request.write(new Uint8Array([0x77]));
  request.end();
  request.end();
  const seen = [await peer.next(), await peer.next(), await peer.next()];
  assert.deepEqual(seen.map(({ t, id, name, payload }) => [t, id, name, payload.toString()]), [
    ['s', '!000', 'cat', 'hello '], ['p', '!000', undefined, 'w'], ['p', '!000', undefined, ''],
  ]);
  peer.send({ t: 'S', id: '!000', payload: 'hell' }, { t: 'S', id: '!000', payload: 'o w' }, { t: 'S', id: '!000', payload: '' });
  assert.equal(await ended, null);
  assert.deepEqual(events, ['hell', 'o w']);
  await assert.rejects(request.write('late'));
});

test('a stream request without a part still ends; one that fails says why', async (t) => {
  const { sock, peer } = await talk(t);
  const request = sock.streamRequest('x');
  request.end();
  assert.equal((await peer.next('s')).payload.length, 0);
  assert.equal((await peer.next('p')).payload.length, 0);
  const ended = new Promise((resolve) => request.on('end', resolve));
  peer.send({ t: 'e', id: '!000', wait: 5, payload: 'busy' });
  assert.deepEqual(await ended.then(({ message, retry, waitMs }) => [message, retry, waitMs]), ['busy', true, 5]);
});

test('a streamed answer by for await, as bytes, text and JSON', async (t) => {
  const { sock, peer } = await talk(t);
  const smile = Buffer.from('😀');
  const read = async (as, ...parts) => {
    const stream = sock.stream('x', 'body', { as });
    const { id } = await peer.next('r');
    peer.send(...parts.map((payload) => ({ t: 'S', id, payload })), { t: 'S', id, payload: '' });
    const got = [];
    for await (const part of stream) got.push(part);
    return got;
  };
  assert.deepEqual(await read(undefined, 'a', 'bc'), [new Uint8Array([97]), new Uint8Array([98, 99])]);
  assert.equal((await read('text', smile.subarray(0, 1), smile.subarray(1))).join(''), '😀');
  assert.deepEqual(await read('json', '1', '{"a":2}'), [1, { a: 2 }]);
  await assert.rejects(read('json', '{'), SyntaxError);
});

test('a streamed body from an iterable; the answer fails in the middle', async (t) => {
  const { sock, peer } = await talk(t);
  const stream = sock.stream('x', (async function* () {
    yield 'a';
    yield '';
    yield new Uint16Array([0x4241]);
  })(), { as: 'text' });
  const seen = [await peer.next(), await peer.next(), await peer.next()];
  assert.deepEqual(seen.map(({ t, payload }) => t + payload), ['sa', 'pAB', 'p']);
  const { id } = seen[0];
  peer.send({ t: 'S', id, payload: 'one' }, { t: 'E', id, payload: 'broken' }, { t: 'S', id, payload: '' });
  const got = [];
  await assert.rejects(async () => {
    for await (const part of stream) got.push(part);
  }, { message: 'broken' });
  assert.deepEqual(got, ['one']);
});

test('leaving the loop gives the call up', async (t) => {
  const { sock, peer } = await talk(t);
  let finished = false;
  const body = (async function* () {
    try {
      for (;;) {
        yield 'x';
        await turn();
      }
    } finally {
      finished = true;
    }
  })();
  const stream = sock.stream('x', body);
  const { id } = await peer.next('s');
  peer.send({ t: 'S', id, payload: 'one' });
  for await (const part of stream) {
    assert.equal(part.length, 3);
    break;
  }
  const seen = [];
  for (let message; !seen.at(-1)?.startsWith('p0'); ) {
    message = await peer.next();
    seen.push(message.t === 'p' ? `p${message.payload.length}` : message.name);
  }
  assert.ok(seen.includes('hub.cancel'));
  await turn();
  await turn();
  assert.ok(finished, 'the body is closed');
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
});

test('a body that fails gives the call up', async (t) => {
  const { sock, peer } = await talk(t);
  const stream = sock.stream('x', (async function* () {
    yield 'a';
    throw new Error('no more');
  })());
  await assert.rejects(stream.next(), { message: 'no more' });
  assert.equal((await peer.next()).t, 's');
  assert.equal((await peer.next()).name, 'hub.cancel');
  assert.equal((await peer.next()).payload.length, 0);
});

test('a stream has its deadline', async (t) => {
  const { sock } = await talk(t);
  await assert.rejects(sock.stream('x', 'a', { timeout: 20 }).next(), { name: 'TimeoutError' });
});

test('a streamed answer that nobody reads is bounded', async (t) => {
  const { sock, peer } = await talk(t);
  const stream = sock.stream('x');
  const { id } = await peer.next('r');
  const part = { t: 'S', id, payload: Buffer.alloc(1 << 20) };
  for (let count = 0; count < 17; count++) peer.send(part);
  assert.equal((await peer.next('n')).name, 'hub.cancel');
  await assert.rejects(stream.next(), { message: 'not read in time' });
  assert.equal(stream.bytes, 0);
});

test('many at once, each with its own answer', async (t) => {
  const { sock, peer } = await talk(t);
  echo(peer);
  const answers = await Promise.all(Array.from({ length: 5000 }, (_, value) => sock.request('echo', value)));
  assert.ok(answers.every((value, index) => value === index));
});

test('more than the bound are refused', async (t) => {
  const { sock } = await talk(t);
  const answers = Array.from({ length: 10_001 }, () => sock.request('x', 1, { retries: 0 }));
  await assert.rejects(answers[10_000], { message: 'too many calls', retry: true });
  assert.throws(() => sock.streamRequest('x'), { message: 'too many calls' });
  sock.end(0);
  for (const answer of answers) await assert.rejects(answer);
});

test('notifications', async (t) => {
  const { sock, peer } = await talk(t);
  sock.notify('a', { x: 1 });
  sock.notify('b');
  sock.notify('c', null);
  sock.bufferNotify('d', new Uint8Array([1, 2]));
  sock.bufferNotify('e', null);
  const seen = [];
  for (let count = 0; count < 5; count++) {
    const { name, payload } = await peer.next('n');
    seen.push(name + payload.toString('latin1'));
  }
  assert.deepEqual(seen, ['a{"x":1}', 'b', 'cnull', 'd\x01\x02', 'e']);
});
