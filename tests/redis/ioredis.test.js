/**
 * ioredis, which most programs of Node use.
 * @module
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Redis } from 'ioredis';

const BINARY = process.env.SWITCHBOARD_BINARY ?? fileURLToPath(new URL('../../target/debug/switchboard', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'switchboard-ioredis-'));

let daemon;
let port = 0;
let client;
const clients = [];

async function start() {
  const doors = ['--listen', `unix://${folder}/hub.sock`, '--listen', `redis://127.0.0.1:${port}`];
  const options = { cwd: folder, env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'inherit'] };
  daemon = spawn(BINARY, ['serve', '--data', join(folder, 'data'), '--log-level', 'error', ...doors], options);
  for await (const line of createInterface({ input: daemon.stdout })) {
    const found = /redis:\/\/.*:(\d+)/.exec(line);
    if (found) port = Number(found[1]);
    if (line === 'ready') return;
  }
  throw new Error('the daemon ended');
}

function connect(options) {
  const client = new Redis(port, { maxRetriesPerRequest: null, ...options });
  // An attempt while the daemon is away is no failure; a command that fails says so itself.
  client.on('error', () => {});
  clients.push(client);
  return client;
}

before(async () => {
  await start();
  client = connect();
});

beforeEach(() => client.flushall());

after(async () => {
  for (const each of clients) each.disconnect();
  daemon.kill('SIGKILL');
  await once(daemon, 'exit');
  rmSync(folder, { recursive: true });
});

test('values, binary ones too', async () => {
  const bytes = Buffer.from([0, 255, 13, 10, 128]);
  assert.equal(await client.set('bytes', bytes, 'EX', 100), 'OK');
  assert.deepEqual(await client.getBuffer('bytes'), bytes);
  assert.equal(await client.incrby('n', 5), 5);
  assert.deepEqual(await client.mget('n', 'nothing'), ['5', null]);
  await client.hset('hash', { a: 1, b: 'ä' });
  assert.deepEqual(await client.hgetall('hash'), { a: '1', b: 'ä' });
  await client.zadd('ranks', 1, 'a', 2, 'b');
  assert.deepEqual(await client.zrange('ranks', 0, -1, 'WITHSCORES'), ['a', '1', 'b', '2']);
  await assert.rejects(client.lpush('n', 'x'), /^ReplyError: WRONGTYPE/);
});

test('a pipeline, and a transaction', async () => {
  const pipeline = client.pipeline();
  for (let number = 0; number < 1000; number++) pipeline.set(`k${number}`, number);
  pipeline.get('k999').lpush('k1', 'x');
  const answers = await pipeline.exec();
  assert.equal(answers.length, 1002);
  assert.deepEqual(answers[1000], [null, '999']);
  assert.match(answers[1001][0].message, /^WRONGTYPE/);
  assert.deepEqual(await client.multi().incr('n').incr('n').exec(), [[null, 1], [null, 2]]);
  const other = connect();
  await other.watch('n');
  await client.incr('n');
  assert.equal(await other.multi().incr('n').exec(), null);
});

test('a scan as a stream', async () => {
  const pipeline = client.pipeline();
  for (let number = 0; number < 2500; number++) pipeline.set(`scan:${number}`, 'x');
  await pipeline.exec();
  const seen = new Set();
  for await (const keys of client.scanStream({ match: 'scan:*', count: 100 })) keys.forEach((key) => seen.add(key));
  assert.equal(seen.size, 2500);
});

test('messages, by name and by pattern', async () => {
  const subscriber = connect();
  assert.equal(await subscriber.subscribe('news', 'weather'), 2);
  assert.equal(await subscriber.psubscribe('home/*'), 3);
  const message = once(subscriber, 'message');
  const patterned = once(subscriber, 'pmessage');
  assert.equal(await client.publish('news', 'hello'), 1);
  assert.equal(await client.publish('home/lamp', 'on'), 1);
  assert.deepEqual(await message, ['news', 'hello']);
  assert.deepEqual(await patterned, ['home/*', 'home/lamp', 'on']);
  await subscriber.unsubscribe('news', 'weather');
  await subscriber.punsubscribe('home/*');
  assert.equal(await subscriber.ping(), 'PONG');
});

test('who waits is served', async () => {
  const waiting = connect().blpop('jobs', 'more', 0);
  await client.rpush('more', 'job');
  assert.deepEqual(await waiting, ['more', 'job']);
  assert.equal(await client.blpop('jobs', 0.05), null);
});

test('commands in Lua', async () => {
  client.defineCommand('take', { numberOfKeys: 1, lua: "local v = redis.call('GET', KEYS[1]) redis.call('DEL', KEYS[1]) return v" });
  await client.set('a', '1');
  assert.equal(await client.take('a'), '1');
  assert.equal(await client.take('a'), null);
});

test('after a restart the client is back, and so is what was kept', async () => {
  const subscriber = connect();
  await subscriber.subscribe('news');
  await client.set('kept', 'yes');
  // Not by once() of node:events: it fails at the first attempt that is refused while the daemon is away.
  const back = [client, subscriber].map((each) => new Promise((resolve) => each.once('ready', resolve)));
  daemon.kill('SIGTERM');
  await once(daemon, 'exit');
  await start();
  await Promise.all(back);
  assert.equal(await client.get('kept'), 'yes');
  const message = once(subscriber, 'message');
  while ((await client.publish('news', 'again')) === 0);
  assert.deepEqual(await message, ['news', 'again']);
});
