/** The hub's operations, against a hub made up by the test. */

import assert from 'node:assert/strict';
import test from 'node:test';

import gotalk from './support/library.js';
import { listenWs, pair } from './support/peer.js';

async function talk(t, options) {
  const both = pair(t, gotalk, options);
  await both.peer.next('v');
  return both;
}

/** Takes the next request of the sock, and answers it. */
async function grant(peer, answer = {}) {
  const { id, name, payload } = await peer.next('r');
  peer.send({ t: 'R', id, payload: JSON.stringify(answer) });
  return [name, JSON.parse(payload)];
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('each helper says what the hub reads', async (t) => {
  const { sock, peer } = await talk(t);
  const { hub } = sock;
  const told = async (promise, answer) => {
    const request = await grant(peer, answer);
    return [request, await promise];
  };
  const who = { session: 7, account: 'a', door: 'gotalk', address: 'x' };
  assert.deepEqual(await told(hub.login({ account: 'a', password: 'hush' }), who), [['hub.login', { account: 'a', password: 'hush' }], who]);
  assert.deepEqual(await told(hub.whoami(), who), [['hub.whoami', {}], who]);
  assert.deepEqual((await told(hub.serve('greet')))[0], ['hub.serve', { ops: ['greet'] }]);
  assert.deepEqual((await told(hub.serve(['push', 'length'], { caller: true })))[0], ['hub.serve', { ops: ['push', 'length'], caller: true }]);
  const declared = { safe: true, resultType: 'text/plain' };
  assert.deepEqual((await told(hub.serve('greet', declared)))[0], ['hub.serve', { ops: ['greet'], safe: true, result_type: 'text/plain' }]);
  assert.equal(sock.handlers.findRequestHandler('push'), undefined);
  assert.deepEqual((await told(hub.unserve('greet')))[0], ['hub.unserve', { ops: ['greet'] }]);
  assert.deepEqual((await told(hub.subscribe('home/#')))[0], ['hub.subscribe', { topics: ['home/#'] }]);
  assert.deepEqual((await told(hub.subscribe(['a', 'b'], null, { policy: 'latest' })))[0], ['hub.subscribe', { topics: ['a', 'b'], policy: 'latest' }]);
  assert.deepEqual((await told(hub.unsubscribe(['a'])))[0], ['hub.unsubscribe', { topics: ['a'] }]);
  assert.deepEqual((await told(hub.call('x', 1)))[0], ['x', 1]);
  const published = { subscriptions: 3 };
  assert.deepEqual(await told(hub.publish('t', 'on'), published), [['hub.publish', { topic: 't', payload: 'on' }], published]);
  assert.deepEqual((await told(hub.publish('t', '😀', { retain: true, expires: 60 })))[0], ['hub.publish', { topic: 't', payload: '😀', retain: true, expires_s: 60 }]);
  assert.deepEqual((await told(hub.publish('t', new Uint8Array([0, 255]))))[0], ['hub.publish', { topic: 't', payload_base64: 'AP8=' }]);
  assert.deepEqual((await told(hub.publish('t', new Uint16Array([1]).buffer)))[0], ['hub.publish', { topic: 't', payload_base64: 'AQA=' }]);
  assert.deepEqual((await told(hub.publish('t', { a: 1 })))[0], ['hub.publish', { topic: 't', payload: '{"a":1}' }]);
  assert.deepEqual((await told(hub.publish('t')))[0], ['hub.publish', { topic: 't' }]);
});

test('what is served answers by what it returns', async (t) => {
  const { sock, peer } = await talk(t);
  const serving = sock.hub.serve({ greet: async ({ name }, call) => `Hello ${name}, by ${call.op}`, nothing: async (params, call) => void call });
  assert.deepEqual(await grant(peer), ['hub.serve', { ops: ['greet', 'nothing'] }]);
  await serving;
  peer.send({ t: 'r', id: 'r001', name: 'greet', payload: '{"name":"x"}' });
  assert.equal((await peer.next('R')).payload.toString(), '"Hello x, by greet"');
  peer.send({ t: 'r', id: 'r002', name: 'nothing', payload: '' });
  assert.equal((await peer.next('R')).payload.length, 0);
});

test('the caller is described, for single requests and streams', async (t) => {
  t.mock.method(console, 'error', () => {});
  const { sock, peer } = await talk(t);
  const seen = [];
  const serving = sock.hub.serve({ who: async (params, call) => [params, call.from.account, call.deadline - Date.now() > 1000] }, { caller: true });
  await grant(peer);
  await serving;
  sock.handlers.handleStreamRequest('cat', async (body, result) => {
    for await (const part of body) seen.push(new TextDecoder().decode(part));
    result(result.from.account);
  });
  const catServing = sock.hub.serve('cat', { caller: true });
  await grant(peer);
  await catServing;
  const description = { account: 'ann', door: 'gotalk', address: 'x', operation: 'who', deadline_ms: 5000, stream: false };
  const request = (id, name, first, ...parts) => {
    peer.send({ t: 's', id, name, payload: first }, ...[...parts, ''].map((payload) => ({ t: 'p', id, payload })));
  };
  request('s001', 'who', JSON.stringify(description), '{"a":', '1}');
  assert.equal((await peer.next('R')).payload.toString(), '[{"a":1},"ann",true]');
  request('s002', 'cat', JSON.stringify({ ...description, stream: true }), 'one', 'two');
  assert.equal((await peer.next('R')).payload.toString(), 'ann');
  assert.deepEqual(seen, ['one', 'two']);
  for (const wrong of ['', 'x', 'null']) {
    request('s003', 'who', wrong);
    assert.equal((await peer.next('E')).payload.toString(), 'caller not described');
  }
  peer.send({ t: 'r', id: 'r001', name: 'cat', payload: 'x' });
  assert.equal((await peer.next('E')).payload.toString(), 'internal error');
});

test('a deadline of the caller aborts the handler', async (t) => {
  const { sock, peer } = await talk(t);
  let call;
  const serving = sock.hub.serve({ slow: (params, given) => new Promise(() => (call = given)) }, { caller: true });
  await grant(peer);
  await serving;
  peer.send({ t: 's', id: 's001', name: 'slow', payload: '{"deadline_ms":20}' }, { t: 'p', id: 's001', payload: '' });
  await turn();
  await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
  assert.equal(call.signal.reason.name, 'TimeoutError');
});

test('messages come to the handlers of their topics', async (t) => {
  const errors = t.mock.method(console, 'error', () => {});
  const { sock, peer } = await talk(t);
  const seen = [];
  const say = (text) => seen.push(text);
  sock.handlers.handleNotification('', (value, name) => say(`fallback ${name}`));
  sock.handlers.handleNotification('home/lamp', (value) => say(`named ${value}`));
  const waiting = [
    sock.hub.subscribe('home/#', (message) => say(`home ${message.topic} ${message.text()}`)),
    sock.hub.subscribe(['home/+', 'json'], (message) => say(`level ${message.json().on}`)),
    sock.hub.subscribe('refused', () => say('never')),
  ];
  await grant(peer);
  await grant(peer);
  const { id } = await peer.next('r');
  peer.send({ t: 'E', id, payload: 'not allowed' });
  await Promise.all(waiting.slice(0, 2));
  await assert.rejects(waiting[2], { message: 'not allowed' });
  peer.send(
    { t: 'n', name: 'home/lamp', payload: '{"on":1}' }, { t: 'n', name: 'other', payload: '1' },
    { t: 'n', name: 'refused', payload: '1' }, { t: 'n', name: 'json', payload: 'no json' },
  );
  assert.deepEqual(seen, ['home home/lamp {"on":1}', 'level 1', 'named [object Object]', 'fallback other', 'fallback refused']);
  assert.equal(errors.mock.callCount(), 1);
  const dropped = sock.hub.unsubscribe('home/#');
  await grant(peer, { removed: 1 });
  await dropped;
  seen.length = 0;
  peer.send({ t: 'n', name: 'home/a/b', payload: '1' });
  assert.deepEqual(seen, ['fallback home/a/b']);
});

test('what was wished for is asked for again when the connection comes back, before what waits', async (t) => {
  const server = await listenWs(t);
  const sock = gotalk.connection(server.address, new gotalk.Handlers());
  t.after(() => sock.end(0));
  const seen = [];
  const wishes = Promise.all([
    sock.hub.login({ account: 'a', token: 't' }),
    sock.hub.serve({ one: () => 1 }),
    sock.hub.serve('two', { caller: true, safe: false, resultType: 'image/png' }),
    sock.hub.subscribe('a/#', (message) => seen.push(message.topic)),
    sock.hub.subscribe(['b', 'c'], null, { policy: 'latest' }),
  ]);
  let peer = await (await server.accept()).handshake();
  const first = [];
  for (let count = 0; count < 5; count++) first.push(await grant(peer));
  await wishes;
  const dropped = sock.hub.unsubscribe('b');
  await grant(peer);
  await dropped;
  assert.equal(first.length, 5, 'each once');
  peer.cut();
  await new Promise((resolve) => sock.once('close', resolve));
  sock.notify('waited', 1);
  peer = await (await server.accept()).handshake();
  assert.deepEqual(await grant(peer), ['hub.login', { account: 'a', token: 't' }]);
  assert.equal(sock.state, 'connecting');
  const again = [];
  for (let count = 0; count < 4; count++) again.push(await grant(peer));
  assert.deepEqual(again, [
    ['hub.serve', { ops: ['one'] }],
    ['hub.serve', { ops: ['two'], caller: true, safe: false, result_type: 'image/png' }],
    ['hub.subscribe', { topics: ['a/#'] }],
    ['hub.subscribe', { topics: ['c'], policy: 'latest' }],
  ]);
  assert.equal((await peer.next('n')).name, 'waited');
  assert.equal(sock.state, 'open');
  peer.send({ t: 'n', name: 'a/b', payload: '' });
  peer.send({ t: 'r', id: 'r001', name: 'one', payload: '' });
  assert.equal((await peer.next('R')).payload.toString(), '1');
  assert.deepEqual(seen, ['a/b']);
});

test('a wish that the connection took along is made again', async (t) => {
  const server = await listenWs(t);
  const sock = gotalk.connection(server.address, new gotalk.Handlers());
  t.after(() => sock.end(0));
  const serving = sock.hub.serve('one');
  let peer = await (await server.accept()).handshake();
  await peer.next('r');
  peer.cut();
  peer = await (await server.accept()).handshake();
  assert.deepEqual(await grant(peer), ['hub.serve', { ops: ['one'] }]);
  await serving;
});

test('a hub that refuses what it granted before ends it; one that is busy does not', async (t) => {
  const server = await listenWs(t);
  const sock = gotalk.connection(server.address, new gotalk.Handlers());
  const login = sock.hub.login({ account: 'a', password: 'x' });
  let peer = await (await server.accept()).handshake();
  await grant(peer);
  await login;
  const errors = [];
  sock.on('error', (error) => errors.push(error.message));
  peer.cut();
  peer = await (await server.accept()).handshake();
  const busy = await peer.next('r');
  peer.send({ t: 'e', id: busy.id, wait: 1, payload: 'busy' });
  peer = await (await server.accept()).handshake();
  const refused = await peer.next('r');
  const closed = new Promise((resolve) => sock.once('close', resolve));
  peer.send({ t: 'E', id: refused.id, payload: 'wrong password' });
  assert.equal((await closed).message, 'wrong password');
  assert.equal(sock.state, 'closed');
  assert.deepEqual(errors, ['busy', 'wrong password']);
});

test('a hub is told of calls that are given up, also over what is no WebSocket of ours', async (t) => {
  const { sock, peer } = pair(t, gotalk, {}, { protocol: '' });
  void sock.hub;
  await peer.next('v');
  await assert.rejects(sock.request('slow', 1, { timeout: 10 }));
  await peer.next('r');
  assert.equal((await peer.next('n')).name, 'hub.cancel');
});
