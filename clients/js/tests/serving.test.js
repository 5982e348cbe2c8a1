/** Requests of the other side. */

import assert from 'node:assert/strict';
import test from 'node:test';

import gotalk from './support/library.js';
import { pair } from './support/peer.js';

async function talk(t, options) {
  const both = pair(t, gotalk, options);
  await both.peer.next('v');
  let next = 0;
  /** Sends a request and reads until its answer: `[types, payload]`. */
  both.ask = async (name, payload = '', id = `r${String(next++).padStart(3, '0')}`) => {
    both.peer.send({ t: 'r', id, name, payload });
    return both.answer(id);
  };
  both.answer = async (id) => {
    const types = [];
    let text = '';
    for (;;) {
      const message = await both.peer.next();
      assert.equal(message.id, id);
      types.push(message.t);
      text += message.payload;
      if (message.t !== 'S' || !message.payload.length) return [types.join(''), text, message.wait];
    }
  };
  return both;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('handlers answer by result, at once and later', async (t) => {
  const { sock, ask } = await talk(t);
  const { handlers } = sock;
  handlers.handleRequest('now', (params, result, op) => result([params, op]));
  handlers.handleRequest('later', (params, result) => void setTimeout(() => result('x'), 5));
  handlers.handleRequest('returned timer', (params, result) => setTimeout(() => result('y'), 5) && 1);
  handlers.handleRequest('void', (params, result) => result());
  handlers.handleRequest('error', (params, result) => result.error(new Error('my error')));
  handlers.handleRequest('text', (params, result) => result.error('plain'));
  handlers.handleRequest('retry', (params, result) => result.retry(1500, 'busy'));
  handlers.handleRequest('twice', (params, result) => {
    result(1);
    result(2);
    result.error('no');
  });
  assert.deepEqual((await ask('now', '{"a":"😀"}')).slice(0, 2), ['R', '[{"a":"😀"},"now"]']);
  assert.deepEqual((await ask('now')).slice(0, 2), ['R', '[null,"now"]']);
  assert.equal((await ask('later'))[1], '"x"');
  assert.equal((await ask('returned timer'))[1], '"y"');
  assert.deepEqual((await ask('void')).slice(0, 2), ['R', '']);
  assert.deepEqual((await ask('error')).slice(0, 2), ['E', 'my error']);
  assert.deepEqual((await ask('text')).slice(0, 2), ['E', 'plain']);
  assert.deepEqual(await ask('retry'), ['e', 'busy', 1500]);
  assert.equal((await ask('twice'))[1], '1');
  assert.equal((await ask('now', '1'))[1], '[1,"now"]', 'nothing more came of the one before');
});

test('handlers answer by what they return', async (t) => {
  const { sock, ask } = await talk(t);
  const { handlers } = sock;
  handlers.handleRequest('value', (params) => params + 1);
  handlers.handleRequest('none', (params) => void params);
  handlers.handleRequest('no arguments', () => 'x');
  handlers.handleRequest('promise', async (params) => params * 2);
  handlers.handleRequest('promise of nothing', async () => {});
  handlers.handleRequest('promise beside result', async (params, result) => result && 'y');
  handlers.handleRequest('async, but by result', async (params, result) => void setTimeout(() => result('z'), 5));
  handlers.handleRequest('rejects', async () => {
    throw new Error('no luck');
  });
  handlers.handleRequest('rejects for now', async () => {
    throw new gotalk.CallError('busy', { retry: true, waitMs: 20 });
  });
  // As jQuery.proxy and others wrap handlers: what it takes does not show.
  handlers.handleRequest('wrapped', (...args) => void setTimeout(() => args[1]('w'), 5));
  handlers.serve('context', (params, call) => (call.op === 'context' ? undefined : 'wrong'));
  assert.equal((await ask('value', '1'))[1], '2');
  assert.deepEqual((await ask('none')).slice(0, 2), ['R', '']);
  assert.equal((await ask('no arguments'))[1], '"x"');
  assert.equal((await ask('promise', '21'))[1], '42');
  assert.deepEqual((await ask('promise of nothing')).slice(0, 2), ['R', '']);
  assert.equal((await ask('promise beside result'))[1], '"y"');
  assert.equal((await ask('async, but by result'))[1], '"z"');
  assert.deepEqual((await ask('rejects')).slice(0, 2), ['E', 'no luck']);
  assert.deepEqual(await ask('rejects for now'), ['e', 'busy', 20]);
  assert.equal((await ask('wrapped'))[1], '"w"');
  assert.deepEqual((await ask('context')).slice(0, 2), ['R', '']);
});

test('a handler that throws is an internal error, told in full in development', async (t) => {
  const errors = t.mock.method(console, 'error', () => {});
  const { sock, ask } = await talk(t);
  sock.handlers.handleRequest('throws', (params, result) => {
    throw new Error(`secret ${typeof result}`);
  });
  sock.handlers.handleRequest('mistake', async () => undefined.x);
  sock.handlers.handleRequest('cyclic', () => {
    const value = {};
    value.value = value;
    return value;
  });
  for (const op of ['throws', 'mistake', 'cyclic']) assert.deepEqual((await ask(op)).slice(0, 2), ['E', 'internal error']);
  assert.equal(errors.mock.callCount(), 3, 'but the program is told');
  gotalk.developmentMode = true;
  t.after(() => (gotalk.developmentMode = false));
  assert.equal((await ask('throws'))[1], 'secret function');
});

test('an unknown operation, one for all others, and names like toString', async (t) => {
  const { sock, ask } = await talk(t);
  for (const name of ['nope', 'toString', 'constructor', '__proto__', '', '😀']) {
    assert.deepEqual((await ask(name)).slice(0, 2), ['E', `unknown operation "${name}"`]);
  }
  sock.handlers.handleRequest('__proto__', (params, result) => result('mine'));
  sock.handlers.handleRequest('', (params, result, op) => result(`for ${op}`));
  assert.equal((await ask('__proto__'))[1], '"mine"');
  assert.equal((await ask('valueOf'))[1], '"for valueOf"');
  assert.equal((await ask(''))[1], '"for "');
});

test('what is no JSON is said; bytes are bytes', async (t) => {
  const { sock, ask } = await talk(t);
  sock.handlers.handleRequest('json', (params) => params);
  sock.handlers.handleBufferRequest('bytes', (params, result) => result(params.subarray(1)));
  sock.handlers.handleBufferRequest('text', () => 'naïve');
  sock.handlers.handleBufferRequest('wrong', () => ({}));
  t.mock.method(console, 'error', () => {});
  const [type, text] = await ask('json', '{not json');
  assert.equal(type, 'E');
  assert.match(text, /^no JSON: /);
  assert.equal((await ask('bytes', 'abc'))[1], 'bc');
  assert.equal((await ask('bytes', ''))[1], '');
  assert.equal((await ask('text'))[1], 'naïve');
  assert.deepEqual((await ask('wrong')).slice(0, 2), ['E', 'internal error']);
});

test('streamed answers, written and generated', async (t) => {
  const { sock, ask } = await talk(t);
  sock.handlers.handleBufferRequest('written', async (params, result) => {
    await result.write('a');
    await result.write('');
    await result.write(new Uint8Array([0x62]));
    result.end();
    await result.write('late');
  });
  sock.handlers.handleBufferRequest('closed by result', (params, result) => {
    result.write('a');
    result('b');
  });
  sock.handlers.handleRequest('generated', async function* (count) {
    for (let value = 0; value < count; value++) yield { value };
  });
  sock.handlers.handleBufferRequest('generator fails', async function* () {
    yield 'a';
    throw new Error('broken');
  });
  assert.deepEqual((await ask('written')).slice(0, 2), ['SSS', 'ab']);
  assert.deepEqual((await ask('closed by result')).slice(0, 2), ['SSS', 'ab']);
  assert.deepEqual((await ask('generated', '2')).slice(0, 2), ['SSS', '{"value":0}{"value":1}']);
  assert.deepEqual((await ask('generator fails')).slice(0, 2), ['SE', 'abroken']);
  assert.deepEqual((await ask('generated', '0')).slice(0, 2), ['S', '']);
});

test('stream requests are served: part by part, or joined', async (t) => {
  const { sock, peer, answer } = await talk(t);
  sock.handlers.handleStreamRequest('cat', async function* (body) {
    for await (const part of body) yield part;
  });
  sock.handlers.handleRequest('joined', (params) => params);
  peer.send({ t: 's', id: 's001', name: 'cat', payload: '' }, { t: 'p', id: 's001', payload: 'one' });
  const part = await peer.next('S');
  assert.equal(part.payload.toString(), 'one');
  peer.send({ t: 'p', id: 's001', payload: 'two' }, { t: 'p', id: 's001', payload: '' });
  assert.deepEqual((await answer('s001')).slice(0, 2), ['SS', 'two']);
  peer.send({ t: 'r', id: 'r001', name: 'cat', payload: 'single' });
  assert.deepEqual((await answer('r001')).slice(0, 2), ['SS', 'single']);
  peer.send(
    { t: 's', id: 's002', name: 'joined', payload: '{"a"' },
    { t: 'p', id: 's002', payload: ':1}' },
    { t: 'p', id: 's002', payload: '' },
  );
  assert.deepEqual((await answer('s002')).slice(0, 2), ['R', '{"a":1}']);
});

test('parts that nobody wants any more are no fault; parts of no stream are', async (t) => {
  const { sock, peer, answer } = await talk(t);
  sock.handlers.handleStreamRequest('early', (body, result) => result('enough'));
  peer.send({ t: 's', id: 's001', name: 'early', payload: 'a' }, { t: 'p', id: 's001', payload: 'b' });
  assert.deepEqual((await answer('s001')).slice(0, 2), ['R', 'enough']);
  peer.send({ t: 'p', id: 's001', payload: 'c' }, { t: 's', id: 's002', name: 'nope', payload: 'x' });
  assert.equal((await answer('s002'))[0], 'E');
  peer.send({ t: 'p', id: 's002', payload: 'y' }, { t: 'p', id: 's002', payload: '' }, { t: 'p', id: 's001', payload: '' });
  peer.send({ t: 's', id: 's001', name: 'early', payload: '' }, { t: 'p', id: 's001', payload: '' });
  assert.equal((await answer('s001'))[0], 'R', 'an id is free when its stream has ended');
  peer.send({ t: 'p', id: 's001', payload: 'z' });
  assert.equal((await peer.next('f')).code, 2);
  assert.equal(await peer.closed, 4002);
});

test('the id of a live stream is not used again', async (t) => {
  const { sock, peer } = await talk(t);
  sock.handlers.handleStreamRequest('slow', (body, result) => void result);
  peer.send({ t: 's', id: 's001', name: 'slow', payload: '' }, { t: 's', id: 's001', name: 'slow', payload: '' });
  assert.equal((await peer.next('f')).code, 2);
});

test('over the limits requests are refused by a retry, before they are looked up', async (t) => {
  const { sock, peer } = await talk(t, { requestLimit: 2, streamLimit: 1 });
  const results = [];
  sock.handlers.handleRequest('slow', (params, result) => void results.push(result));
  peer.send({ t: 's', id: 's001', name: 'slow', payload: '1' }, { t: 'p', id: 's001', payload: '' });
  peer.send({ t: 's', id: 's002', name: 'slow', payload: '1' }, { t: 'p', id: 's002', payload: '' });
  const refused = await peer.next('e');
  assert.deepEqual([refused.id, refused.payload.toString()], ['s002', 'request rate limit']);
  assert.ok(refused.wait >= 500 && refused.wait < 5000);
  peer.send({ t: 'r', id: 'r001', name: 'slow', payload: '' }, { t: 'r', id: 'r002', name: 'nope', payload: '' });
  assert.equal((await peer.next('e')).id, 'r002');
  sock.sendHeartbeat();
  assert.equal((await peer.next('h')).load, 0xffff);
  results.forEach((result) => result());
  assert.deepEqual([(await peer.next('R')).id, (await peer.next('R')).id], ['s001', 'r001']);
  sock.sendHeartbeat();
  assert.equal((await peer.next('h')).load, 0);
  sock.streamLimit = 0;
  peer.send({ t: 's', id: 's003', name: 'slow', payload: '' });
  assert.equal((await peer.next('E')).payload.toString(), 'stream requests not supported');
});

test('a request that is too large is refused', async (t) => {
  const { sock, peer } = await talk(t, { payloadLimit: 100 });
  sock.handlers.handleBufferRequest('joined', (params) => params);
  sock.handlers.handleBufferRequest('long', () => 'x'.repeat(101));
  t.mock.method(console, 'error', () => {});
  const part = { t: 'p', id: 's001', payload: 'x'.repeat(60) };
  peer.send({ ...part, t: 's', name: 'joined' }, part, { ...part, payload: '' });
  assert.equal((await peer.next('E')).payload.toString(), 'payload over 100 bytes');
  peer.send({ t: 'r', id: 'r001', name: 'long', payload: '' });
  assert.equal((await peer.next('E')).payload.toString(), 'internal error');
  peer.send({ t: 'r', id: 'r002', name: 'joined', payload: 'x'.repeat(101) });
  assert.equal((await peer.next('f')).code, 2);
});

test('what the caller gives up is aborted, and not answered', async (t) => {
  const { sock, peer, ask } = await talk(t);
  const started = [];
  sock.handlers.handleRequest('slow', (params, result) => void started.push(result));
  sock.handlers.handleRequest('echo', (params) => params);
  let endOfBody;
  sock.handlers.handleStreamRequest('reads', async (body) => {
    try {
      for await (const part of body) void part;
      endOfBody = 'whole';
    } catch (error) {
      endOfBody = error.message;
    }
  });
  peer.send({ t: 'r', id: 'ab\x01\xff', name: 'slow', payload: '' });
  assert.equal(started[0].signal.aborted, false);
  peer.send({ t: 'n', name: 'hub.cancel', payload: '616201ff' });
  assert.equal(started[0].signal.aborted, true);
  started[0]('late');
  peer.send({ t: 's', id: 's001', name: 'reads', payload: 'x' });
  await turn();
  peer.send({ t: 'n', name: 'hub.cancel', payload: Buffer.from('s001').toString('hex') });
  for (const wrong of ['', 'zz', '6162', 'ffffffff', '😀']) peer.send({ t: 'n', name: 'hub.cancel', payload: wrong });
  assert.equal((await ask('echo', '1'))[1], '1', 'nothing came before');
  assert.equal(endOfBody, 'given up', 'a body that was cut is not taken for whole');
  const generator = [];
  sock.handlers.handleRequest('ticks', async function* (params, { signal }) {
    try {
      for (;;) {
        yield 1;
        await turn();
      }
    } finally {
      generator.push(signal.aborted);
    }
  });
  peer.send({ t: 'r', id: 'tick', name: 'ticks', payload: '' });
  await peer.next('S');
  peer.send({ t: 'n', name: 'hub.cancel', payload: Buffer.from('tick').toString('hex') });
  for (let count = 0; count < 10 && !generator.length; count++) await turn();
  assert.deepEqual(generator, [true]);
});

test('a lost connection aborts what is answered', async (t) => {
  const { sock, peer } = await talk(t);
  let kept;
  let body;
  sock.handlers.handleRequest('slow', (params, result) => void (kept = result));
  sock.handlers.handleStreamRequest('reads', async (parts) => {
    body = await parts.next().then(() => parts.next()).catch((error) => error.message);
  });
  peer.send({ t: 'r', id: 'r001', name: 'slow', payload: '' }, { t: 's', id: 's001', name: 'reads', payload: 'x' });
  await turn();
  peer.cut();
  assert.equal(kept.signal.aborted, true);
  kept('late');
  await turn();
  assert.equal(body, 'connection closed');
});

test('the same id twice at once is answered twice', async (t) => {
  const { sock, peer } = await talk(t);
  sock.handlers.handleRequest('slow', (params, result) => void setTimeout(() => result(params), 5 * params));
  peer.send({ t: 'r', id: 'same', name: 'slow', payload: '2' }, { t: 'r', id: 'same', name: 'slow', payload: '1' });
  assert.equal((await peer.next('R')).payload.toString(), '1');
  assert.equal((await peer.next('R')).payload.toString(), '2');
});

test('notifications keep their order, and a handler that fails harms nobody', async (t) => {
  const errors = t.mock.method(console, 'error', () => {});
  const { sock, peer } = await talk(t);
  const got = [];
  sock.handlers.handleNotification('json', (value, name) => got.push([name, value]));
  sock.handlers.handleBufferNotification('bytes', (value) => got.push(value));
  sock.handlers.handleNotification('throws', () => {
    throw new Error('of the program');
  });
  sock.handlers.handleNotification('rejects', async () => {
    throw new Error('of the program');
  });
  peer.send(
    { t: 'n', name: 'json', payload: '{"a":1}' }, { t: 'n', name: 'json', payload: '' }, { t: 'n', name: 'throws' },
    { t: 'n', name: 'json', payload: 'no json' }, { t: 'n', name: 'rejects' }, { t: 'n', name: 'unknown', payload: '1' },
    { t: 'n', name: 'bytes', payload: 'x' },
  );
  assert.deepEqual(got, [['json', { a: 1 }], ['json', null], ['json', 'no json'], new Uint8Array([120])]);
  await turn();
  assert.equal(errors.mock.callCount(), 2);
  sock.handlers.handleNotification('', (value, name) => got.push(name));
  peer.send({ t: 'n', name: 'toString', payload: '1' }, { t: 'n', name: '', payload: '1' });
  assert.deepEqual(got.slice(4), ['toString', '']);
});

test('streams that are never ended are bounded', async (t) => {
  const { peer } = await talk(t);
  const flood = Array.from({ length: 10_002 }, (_, index) => ({
    t: 's', id: index.toString(36).padStart(4, '0'), name: 'nope', payload: '',
  }));
  peer.send(...flood);
  assert.equal(await peer.closed, 4002);
});

test('a stream that its handler does not read is bounded', async (t) => {
  const { sock, peer } = await talk(t);
  let kept;
  sock.handlers.handleStreamRequest('slow', (body, result) => void ((kept = body), result));
  peer.send({ t: 's', id: 's001', name: 'slow', payload: 'x' });
  await turn();
  let most = 0;
  for (let count = 0; count < 40; count++) {
    peer.send({ t: 'p', id: 's001', payload: Buffer.alloc(1 << 20) });
    most = Math.max(most, kept.bytes);
  }
  assert.ok(most <= 16 << 20, `${most} bytes waited`);
  assert.equal(kept.bytes, 0, 'nothing is kept of a stream that failed');
  await assert.rejects(kept.next(), { message: 'not read in time' });
  peer.send({ t: 'p', id: 's001', payload: '' });
  assert.equal(sock.state, 'open');
});
