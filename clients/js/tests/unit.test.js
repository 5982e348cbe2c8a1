/** The pieces by themselves. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { createBackOff } from '../src/back_off.js';
import { Buf, hex, toBytes } from '../src/bytes.js';
import { createDecoder } from '../src/decoder.js';
import { resolve } from '../src/dial.js';
import { Emitter } from '../src/emitter.js';
import { ErrInvalidMsg, ErrUnsupported } from '../src/errors.js';
import { matches } from '../src/filter.js';
import { Handlers } from '../src/handlers.js';
import { outgoing } from '../src/outbox.js';
import { Reader, encode } from './support/wire.js';

/** A stream with every type of message in it. */
const MESSAGES = [
  { t: 'r', id: '0000', name: 'echo', payload: 'hello' },
  { t: 's', id: '\0\x01\xfe\xff', name: '', payload: '' },
  { t: 'p', id: '!zzz', payload: 'part' },
  { t: 'R', id: '    ', payload: Buffer.alloc(70_000, 7) },
  { t: 'S', id: 'SSSS', payload: '' },
  { t: 'E', id: 'EEEE', payload: 'naïve 😀' },
  { t: 'e', id: 'eeee', wait: 0xffffffff, payload: 'busy' },
  { t: 'n', name: 'a/😀/' + 'x'.repeat(4000), payload: '{}' },
  { t: 'h', load: 0xffff, time: 0xffffffff },
  { t: 'f', code: 3 },
];
const STREAM = Buffer.concat([Buffer.from('01'), ...MESSAGES.map(encode)]);

/** @param {Iterable<Uint8Array>} pieces */
function decodeAll(pieces, limit = 1 << 20) {
  const decoder = createDecoder(limit);
  const messages = [];
  for (const piece of pieces) {
    decoder.feed(piece);
    for (let message; (message = decoder.next()); ) messages.push({ ...message, payload: Uint8Array.from(message.payload) });
  }
  return { messages, pending: decoder.isPending() };
}

/** A generator of numbers that is the same in each run. */
function random(seed) {
  return (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
}

function* split(bytes, next, most) {
  for (let at = 0; at < bytes.length; ) {
    const size = next(most) + (next(3) ? 1 : 0);
    yield Uint8Array.from(bytes.subarray(at, at + size));
    at += size;
  }
}

test('every payload that can be sent has the size of its bytes', () => {
  const bytes = Uint8Array.from({ length: 24 }, (_, index) => index + 100);
  const types = [
    Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array,
    Float64Array, BigInt64Array, BigUint64Array,
  ];
  for (const Type of types) {
    const view = new Type(bytes.buffer, 8, 8 / Type.BYTES_PER_ELEMENT);
    assert.deepEqual(Buffer.from(toBytes(view)), Buffer.from(bytes.subarray(8, 16)), Type.name);
  }
  assert.deepEqual(Buffer.from(toBytes(new DataView(bytes.buffer, 1, 3))), Buffer.from([101, 102, 103]));
  assert.deepEqual(Buffer.from(toBytes(bytes.buffer)), Buffer.from(bytes));
  const shared = new SharedArrayBuffer(3);
  new Uint8Array(shared).set([1, 2, 3]);
  assert.deepEqual(Buffer.from(toBytes(shared)), Buffer.from([1, 2, 3]));
  assert.deepEqual(Buffer.from(toBytes(Buffer.from('abc'))), Buffer.from('abc'));
  for (const text of ['', 'ascii', 'é', '€', '😀', '👩‍👩‍👧‍👦', '\ud800 alone', 'a\0b']) {
    assert.deepEqual(Buffer.from(toBytes(text)), Buffer.from(text));
  }
  assert.equal(toBytes(null).length, 0);
  assert.equal(toBytes(undefined).length, 0);
  for (const wrong of [1, true, {}, [1], () => 1, Symbol('x')]) assert.throws(() => toBytes(wrong), TypeError);
});

test('what is sent shares nothing with the program', () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const { payload } = outgoing('n', '', 'a', '', bytes, 10);
  bytes[0] = 9;
  assert.deepEqual([...payload], [1, 2, 3]);
});

test('numbers are kept within their digits', () => {
  assert.equal(hex(255, 4), '00ff');
  assert.equal(hex(-1, 4), '0000');
  assert.equal(hex(NaN, 4), '0000');
  assert.equal(hex(1.9, 4), '0001');
  assert.equal(hex(2 ** 40, 8), 'ffffffff');
});

test('messages are read as they are written, however the bytes are cut', () => {
  const whole = decodeAll([STREAM]);
  assert.equal(whole.pending, false);
  assert.equal(whole.messages.length, MESSAGES.length + 1);
  whole.messages.slice(1).forEach((message, index) => {
    const wanted = MESSAGES[index];
    for (const [key, value] of Object.entries(wanted)) {
      const got = message[key];
      assert.deepEqual(key === 'payload' ? Buffer.from(got) : got, key === 'payload' ? Buffer.from(value) : value);
    }
  });
  for (let seed = 1; seed <= 60; seed++) {
    const next = random(seed);
    const cut = decodeAll(split(STREAM, next, [1, 3, 17, 400, 20_000][seed % 5] + 1));
    assert.deepEqual(cut, whole, `seed ${seed}`);
  }
});

test('a payload that was handed out stays as it was', () => {
  const decoder = createDecoder(1 << 20);
  const kept = [];
  const next = random(7);
  for (const piece of split(STREAM, next, 50)) {
    decoder.feed(piece);
    for (let message; (message = decoder.next()); ) kept.push(message.payload);
  }
  assert.ok(kept[4].every((byte) => byte === 7));
  assert.equal(Buffer.from(kept[6]).toString(), 'naïve 😀');
});

test('a declared size reserves nothing', () => {
  const decoder = createDecoder(1 << 30);
  const before = process.memoryUsage().arrayBuffers;
  decoder.feed(Buffer.from('01r000000003fff0000'.slice(0, 2) + 'R00003fffffff'));
  while (decoder.next());
  assert.ok(decoder.isPending());
  assert.ok(process.memoryUsage().arrayBuffers - before < 1 << 20);
});

test('what is no message is found at once', () => {
  const cases = [
    ['02', ErrUnsupported], ['0 ', ErrUnsupported], ['zz', ErrUnsupported], ['01x', ErrInvalidMsg], ['01\0', ErrInvalidMsg],
    ['01r0000g', ErrInvalidMsg], ['01r0000 04', ErrInvalidMsg], ['01r0000-04', ErrInvalidMsg], ['01n00', null],
    ['01n0 ', ErrInvalidMsg], ['01n001a+', ErrInvalidMsg], ['01R0000fffff', null], ['01R0000ffffffff', ErrInvalidMsg],
    ['01R000000000011', ErrInvalidMsg], ['01R000000000010', null], ['01n001\xff00000000', ErrInvalidMsg],
    ['01h00', null], ['01h0x', ErrInvalidMsg], ['01f0000000', null], ['01n', null], ['0', null], ['', null],
    ['01__proto__', ErrInvalidMsg], ['01constructor', ErrInvalidMsg],
  ];
  for (const [text, wanted] of cases) {
    let found = null;
    try {
      decodeAll([Buffer.from(text, 'latin1')], 16);
    } catch (error) {
      found = error;
    }
    assert.equal(found, wanted, text);
  }
});

test('hostile bytes throw nothing but protocol errors', () => {
  for (let seed = 1; seed <= 3000; seed++) {
    const next = random(seed);
    const bytes = Buffer.from(STREAM.subarray(0, 2 + next(60)));
    for (let count = next(4); count > 0 && bytes.length > 2; count--) bytes[2 + next(bytes.length - 2)] = next(256);
    try {
      decodeAll(split(bytes, next, 9), 1000);
    } catch (error) {
      assert.ok(error.isGotalkProtocolError, `seed ${seed}: ${error.stack}`);
    }
  }
});

test('the test\'s own reader agrees with the library', () => {
  const reader = new Reader();
  assert.equal(reader.read(STREAM).length, MESSAGES.length + 1);
  const { header, payload } = outgoing('r', '0001', 'naïve', '', '😀', 100);
  assert.equal(Buffer.concat([header, payload]).toString(), 'r0001006naïve00000004😀');
});

test('names and payloads have their bounds', () => {
  assert.equal(outgoing('n', '', 'x'.repeat(4095), '', '', 1).header.length, 1 + 3 + 4095 + 8);
  assert.throws(() => outgoing('n', '', 'x'.repeat(4096), '', '', 1), RangeError);
  assert.throws(() => outgoing('n', '', '😀'.repeat(1024), '', '', 1), RangeError);
  assert.throws(() => outgoing('n', '', 'x', '', 'ab', 1), RangeError);
});

test('listeners are called in order, and harm nobody', (t) => {
  const errors = t.mock.method(console, 'error', () => {});
  const emitter = new Emitter();
  const calls = [];
  const once = () => calls.push('once');
  emitter.on('__proto__', () => calls.push('first')).once('__proto__', once).on('__proto__', () => {
    calls.push('throws');
    throw new Error('of the program');
  });
  emitter.addListener('__proto__', () => calls.push('last'));
  assert.equal(emitter.listeners('__proto__').length, 4);
  assert.equal(emitter.listeners('__proto__')[1], once);
  assert.equal(emitter.emit('__proto__'), true);
  assert.deepEqual(calls, ['first', 'once', 'throws', 'last']);
  assert.equal(errors.mock.callCount(), 1);
  emitter.emit('__proto__');
  assert.equal(calls.length, 7);
  assert.equal(emitter.emit('constructor'), false);
  emitter.once('x', once).removeListener('x', once).removeListener('x', once);
  assert.equal(emitter.emit('x'), false);
  emitter.on('x', once).on('x', once).removeListener('x', once);
  assert.equal(emitter.listeners('x').length, 1);
  emitter.removeAllListeners('x');
  assert.equal(emitter.emit('x'), false);
  emitter.removeAllListeners();
  assert.equal(emitter.emit('__proto__'), false);
});

test('a listener gets what is emitted, and may remove itself', () => {
  const emitter = new Emitter();
  const got = [];
  emitter.on('x', function listener(...args) {
    assert.equal(this, emitter);
    got.push(args);
    emitter.removeListener('x', listener);
  });
  emitter.on('x', () => got.push('second'));
  emitter.emit('x', 1, 2);
  emitter.emit('x');
  assert.deepEqual(got, [[1, 2], 'second', 'second']);
});

test('filters match as the hub\'s do', () => {
  const cases = [
    ['a', 'a', true], ['a', 'a/b', false], ['a/b', 'a/b', true], ['+', 'a', true], ['+', 'a/b', false],
    ['+/b', 'a/b', true], ['a/+', 'a/b', true], ['a/+', 'a', false], ['a/+', 'a/', true], ['a/#', 'a', true],
    ['a/#', 'a/b/c', true], ['a/#', 'ab', false], ['#', 'a/b', true], ['#', '$SYS/x', false], ['+/x', '$SYS/x', false],
    ['$SYS/#', '$SYS/x', true], ['a/+/c', 'a/b/c', true], ['a/+/c', 'a/b/d', false], ['a/+/#', 'a', false],
    ['a/+/#', 'a/b', true], ['', '', true], ['/', '/', true], ['+/+', '/', true],
  ];
  for (const [filter, topic, wanted] of cases) assert.equal(matches(filter, topic), wanted, `${filter} ${topic}`);
});

test('rests double, and begin anew after a connection that lasted', (t) => {
  t.mock.method(Math, 'random', () => 0);
  const next = createBackOff();
  assert.deepEqual([0, 0, 0, 0, 0, 0].map(() => next(0, false)), [500, 1000, 2000, 4000, 5000, 5000]);
  assert.equal(next(100, false), 5000);
  assert.equal(next(5000, false), 500);
  assert.equal(next(100, true), 0, 'at once after a time-out');
  assert.equal(next(100, true), 1000, 'but not over and over');
  assert.equal(next(100, true), 0);
  assert.equal(next(5000, true), 0);
  assert.equal(next(5000, true), 0);
  t.mock.method(Math, 'random', () => 0.999);
  const rest = createBackOff()(0, false);
  assert.ok(rest >= 250 && rest < 251, `shortened by up to half: ${rest}`);
});

test('handlers have any name', () => {
  const handlers = new Handlers();
  for (const name of ['toString', 'constructor', '__proto__', 'hasOwnProperty']) {
    assert.equal(handlers.findRequestHandler(name), undefined);
    assert.equal(handlers.findNotificationHandler(name), undefined);
    const handler = () => name;
    handlers.handleRequest(name, handler);
    handlers.handleNotification(name, handler);
    assert.equal(handlers.findRequestHandler(name), handler);
    assert.equal(handlers.findNotificationHandler(name), handler);
  }
  const all = () => {};
  handlers.handleRequest('', all);
  assert.equal(handlers.findRequestHandler('other'), all);
  handlers.handleRequest('', null);
  assert.equal(handlers.findRequestHandler('other'), undefined);
});

test('addresses', () => {
  assert.equal(resolve('ws://a/b'), 'ws://a/b');
  assert.equal(resolve('http://a/b'), 'ws://a/b');
  assert.equal(resolve('https://a/b'), 'wss://a/b');
  assert.equal(resolve('unix:///http'), 'unix:///http');
  assert.equal(resolve('localhost:1234/gotalk/'), 'ws://localhost:1234/gotalk/');
  globalThis.location = { protocol: 'https:', host: 'example.org' };
  assert.equal(resolve('/gotalk/'), 'wss://example.org/gotalk/');
  assert.equal(resolve('other:1/gotalk/'), 'wss://other:1/gotalk/');
  delete globalThis.location;
});

test('buffers', () => {
  assert.deepEqual([...Buf([1, 2])], [1, 2]);
  assert.equal(Buf(3).length, 3);
  assert.deepEqual([...Buf.fromString('é')], [0xc3, 0xa9]);
  assert.ok(Buf.isBuf(Buf('x')) && !Buf.isBuf('x'));
});
