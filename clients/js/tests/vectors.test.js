/**
 * Every conversation that was recorded between the original JavaScript library and a server: this library plays the
 * recorded client, the test the server, frame by frame.
 *
 * Where this library is meant to do otherwise than the original did, `DIFFERENT` says so, and the test of that name in
 * `run` checks what happens instead.
 */

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';

import { WebSocketServer } from 'ws';

import gotalk from './support/library.js';

const FOLDER = new URL('../../../core/wire/tests/vectors/', import.meta.url);

/** Recordings whose client is hand-written bytes: they are about servers. */
const OF_SERVERS = /^ws_raw_/;

/** Frames that this library sends otherwise: recorded text to own text. */
const INSTEAD = {
  // What nobody answers is said as every other peer says it.
  ws_js_handles_requests: { 'no such operation "nope"': 'unknown operation "nope"' },
};

/** What the program did in each recording, and what it saw. */
const PROGRAMS = {
  async ws_js_bad_version(s) {
    assert.equal(await closed(s), gotalk.ErrUnsupported);
  },
  async ws_js_big_payload(s) {
    const bytes = new Uint8Array(1 << 20).map((_, index) => index);
    assert.deepEqual(await s.bufferRequest('echo', bytes), bytes);
    s.end();
  },
  async ws_js_client_heartbeats(s) {
    await new Promise((resolve) => setTimeout(resolve, 120));
    s.end();
  },
  async ws_js_connect_heartbeat(s) {
    await turn();
    s.end();
    assert.equal(await closed(s), null);
  },
  async ws_js_end_pending(s) {
    const answer = s.request('slow', 1);
    s.end();
    assert.ok(s.ws);
    assert.equal(await answer, 1);
    await closed(s);
    assert.equal(s.ws, null);
  },
  async ws_js_error_code_9(s) {
    assert.equal(await closed(s), gotalk.ErrInvalidMsg);
  },
  async ws_js_error_empty(s) {
    await assert.rejects(s.bufferRequest('op', 'x'), { message: '' });
    s.end();
  },
  async ws_js_errors(s) {
    await assert.rejects(s.request('nope', 1), { message: 'unknown operation "nope"' });
    await assert.rejects(s.request('fail', 1), { message: 'it failed' });
    s.end();
  },
  async ws_js_gets_protocol_error_abnormal(s) {
    assert.equal(await closed(s), gotalk.ErrAbnormal);
  },
  async ws_js_gets_protocol_error_invalid(s) {
    assert.equal(await closed(s), gotalk.ErrInvalidMsg);
  },
  async ws_js_gets_protocol_error_timeout(s) {
    assert.equal(await closed(s), gotalk.ErrTimeout);
  },
  async ws_js_gets_protocol_error_unsupported(s) {
    assert.equal(await closed(s), gotalk.ErrUnsupported);
  },
  async ws_js_handles_requests(s) {
    const seen = [];
    s.handlers.handleRequest('prompt', (params, result) => result({ answer: 42 }, seen.push(params)));
    s.handlers.handleBufferRequest('buf', (params, result) => result(new Uint8Array([1, 2])));
    s.handlers.handleRequest('throws', (params, result) => {
      throw new Error(`a bug ${result}`);
    });
    s.handlers.handleRequest('err', (params, result) => result.error(new Error('my error')));
    s.handlers.handleRequest('void', (params, result) => result());
    s.handlers.handleRequest('errstr', (params, result) => result.error('plain string'));
    s.handlers.handleBufferRequest('textres', (params, result) => result('naïve'));
    s.handlers.handleNotification('note', (value) => seen.push(value));
    s.handlers.handleBufferNotification('bnote', (value) => seen.push(value.length) && s.end());
    await closed(s);
    assert.deepEqual(seen, [{ question: 'q' }, null, 1, 3]);
  },
  async ws_js_heartbeat_2038(s) {
    const seen = [];
    await new Promise((resolve) =>
      s.on('heartbeat', ({ time, load }) => seen.push([time.toISOString(), load]) === 2 && resolve()),
    );
    assert.deepEqual(seen, [['2038-01-19T03:14:07.000Z', 255], ['2038-01-19T03:14:08.000Z', 65535]]);
    s.end();
  },
  async ws_js_notify(s) {
    s.notify('a', { x: 1 });
    s.bufferNotify('b', new Uint8Array([1, 2, 3]));
    s.bufferNotify('c', null);
    s.notify('d');
    s.notify('e', null);
    s.end();
  },
  async ws_js_pipelined(s) {
    const answers = [1, 2, 3, 4, 5].map((value) => s.request('jecho', value));
    assert.deepEqual(await Promise.all(answers), [1, 2, 3, 4, 5]);
    s.end();
  },
  async ws_js_read_timeout(s) {
    assert.equal(await closed(s), gotalk.ErrTimeout);
    const began = Date.now();
    await new Promise((resolve) => s.once('open', resolve));
    assert.ok(Date.now() - began < 300, 'at once');
    s.end();
  },
  async ws_js_request_json(s) {
    assert.deepEqual(await s.request('greet', { name: 'Rasmus' }), { greeting: 'Hello Rasmus' });
    assert.equal(await s.request('jecho', null), null);
    assert.deepEqual(await s.request('jecho', [1, 'a', { b: null }]), [1, 'a', { b: null }]);
    s.end();
  },
  async ws_js_request_variants(s) {
    await assert.rejects(s.request('jecho'), { message: 'unexpected parameter type' });
    assert.deepEqual(await new Promise((done) => s.request('void', 1, (...args) => done(args))), [null, null]);
    assert.equal(await s.request('void', 1), null);
    assert.deepEqual([...(await s.bufferRequest('echo', new Uint8Array([0, 255, 10])))], [0, 255, 10]);
    assert.equal(new TextDecoder().decode(await s.bufferRequest('echo', 'str')), 'str');
    assert.equal((await s.bufferRequest('echo', null)).length, 0);
    assert.equal((await s.bufferRequest('echo', '')).length, 0);
    s.end();
  },
  async ws_js_server_close(s) {
    await assert.rejects(s.request('slow', 1), { message: 'connection closed' });
    assert.equal(s.state, 'closed');
  },
  async ws_js_server_heartbeats(s) {
    await new Promise((resolve) => s.once('heartbeat', resolve));
    await turn();
    s.end();
  },
  async ws_js_stream_disabled(s) {
    const request = s.streamRequest('scat');
    const ended = new Promise((resolve) => request.on('end', resolve));
    request.write('x');
    assert.equal((await ended).message, 'stream requests not supported');
    s.end();
  },
  async ws_js_stream_request(s) {
    const request = s.streamRequest('scat');
    const seen = [];
    request.on('data', (data) => seen.push(new TextDecoder().decode(data)));
    const ended = new Promise((resolve) => request.on('end', resolve));
    request.write('hello ');
    request.write(new TextEncoder().encode('world'));
    request.end();
    assert.equal(await ended, null);
    assert.deepEqual(seen, ['hell', 'o wo', 'rld']);
    s.end();
  },
  async ws_js_text_frames_from_server(s) {
    const seen = [];
    s.handlers.handleBufferNotification('a', (value) => seen.push(['a', new TextDecoder().decode(value)]));
    s.handlers.handleBufferNotification('héllo', (value) => {
      seen.push(['héllo', new TextDecoder().decode(value)]);
      s.end();
    });
    await closed(s);
    assert.deepEqual(seen, [['a', 'abc'], ['héllo', 'bin']]);
  },
  async ws_js_unknown_msg(s) {
    assert.equal(await closed(s), gotalk.ErrInvalidMsg);
  },
  async ws_js_version_before_open(s) {
    await new Promise((resolve) => s.once('open', resolve));
    s.end();
  },
};

/**
 * Recordings of faults of the original, and of what it could not do: only what the server sends is taken from them.
 * @type {Record<string, { why: string, run: (s: any, sent: () => string) => Promise<void> }>}
 */
const DIFFERENT = {
  ws_js_gets_stream_request: {
    why: 'stream requests are served',
    async run(s, sent) {
      s.handlers.handleStreamRequest('x', async function* (body) {
        for await (const part of body) yield part;
      });
      await until(() => sent().includes('abc'));
      assert.equal(sent(), '01S\0\0\0\x0000000003abc');
      s.end(0);
    },
  },
  ws_js_request_emoji_bug: {
    why: 'sizes count bytes',
    async run(s, sent) {
      s.request('jecho', '😀').catch(() => {});
      s.request('jecho', 'abc').catch(() => {});
      await closed(s);
      assert.ok(sent().startsWith('01r0000005jecho00000006"😀"r0001005jecho00000005'), sent());
    },
  },
  ws_js_request_named_tostring: {
    why: 'names such as toString are ordinary',
    async run(s, sent) {
      await until(() => sent().includes('"nope"'));
      assert.equal(
        sent(),
        '01E00010000001cunknown operation "toString"E00020000001funknown operation "constructor"' +
          'E000300000018unknown operation "nope"',
      );
      s.end();
    },
  },
  ws_js_single_req_stream_result: {
    why: 'a streamed answer is all of it, not its first part',
    async run(s) {
      assert.equal(new TextDecoder().decode(await s.bufferRequest('op', 'x')), 'abcdef');
      s.end();
    },
  },
  ws_js_stream_end_only: {
    why: 'a stream without a part has an end too',
    async run(s, sent) {
      const request = s.streamRequest('scat');
      const ended = new Promise((resolve) => request.on('end', resolve));
      request.end();
      assert.equal((await ended).message, 'no end of stream within 300ms');
      assert.equal(sent(), '01s!000004scat00000000p!00000000000');
      s.end();
    },
  },
  ws_js_text_protocol: {
    why: 'headers are binary: servers read either as bytes',
    async run(s, sent) {
      s.protocol = gotalk.protocol.text;
      assert.deepEqual(await s.request('jecho', { a: 1 }), { a: 1 });
      assert.equal(new TextDecoder().decode(await s.bufferRequest('echo', 'abc')), 'abc');
      assert.equal(sent(), '01r0000005jecho00000007{"a":1}r0001004echo00000003abc');
      s.end();
    },
  },
  ws_js_text_protocol_nonascii_bug: {
    why: 'sizes count bytes',
    async run(s, sent) {
      s.request('jecho', 'hé').catch(() => {});
      s.request('jecho', 'abc').catch(() => {});
      await closed(s);
      assert.ok(sent().startsWith('01r0000005jecho00000005"hé"r0001005jecho00000005'), sent());
    },
  },
  ws_js_text_protocol_server_request_bug: {
    why: 'ids are bytes',
    async run(s, sent) {
      s.handlers.handleRequest('prompt', () => ({ answer: 42 }));
      await until(() => sent().includes('42'));
      assert.equal(sent(), '01R\0\0\0\x000000000d{"answer":42}');
      s.end(0);
    },
  },
  ws_js_upper_hex_payload_mismatch: {
    why: 'a payload has the size that it says',
    async run(s) {
      let seen = 0;
      s.handlers.handleBufferNotification('', () => seen++);
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(seen, 0, 'five of ten bytes are no message');
      s.end(0);
    },
  },
  ws_js_version_and_message_one_frame: {
    why: 'frames are a stream of bytes',
    async run(s) {
      const name = await new Promise((resolve) => s.handlers.handleNotification('', (_, named) => resolve(named)));
      assert.equal(name, 'a');
      s.end();
    },
  },
};

const turn = () => new Promise((resolve) => setTimeout(resolve, 20));
const closed = (s) => new Promise((resolve) => s.once('close', resolve));

async function until(condition) {
  for (let count = 0; !condition() && count < 500; count++) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.ok(condition());
}

/** The bytes of a recorded message, with what depends on the clock blanked out. */
function bytesOf({ bytes_hex: hex, payload_repeat: repeat }) {
  const tail = repeat ? repeat.unit_hex.repeat(repeat.count) : '';
  return Buffer.from(hex + tail, 'hex');
}

const blanked = (text) => text.replace(/^h[0-9a-f]{12}$/, 'h');

/**
 * Plays the server's side. Its frames are sent when the client's recorded before them have come.
 * @returns what the client sent, by connection
 */
async function serve(t, vector) {
  const scripts = [];
  for (const message of vector.messages) {
    if (message.from === 'client' && message.event === 'http') scripts.push([]);
    else if (message.event !== 'http') scripts.at(-1).push(message);
  }
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => false });
  await new Promise((resolve) => server.on('listening', resolve));
  t.after(() => server.close());
  const connections = [];
  server.on('connection', (ws, request) => {
    if (request.headers['sec-websocket-protocol']) return;
    const script = scripts[connections.length] ?? [];
    const connection = { frames: [], code: undefined, script };
    connections.push(connection);
    let at = 0;
    const advance = () => {
      let due = connection.frames.length + (connection.code === undefined ? 0 : 1);
      for (let index = 0; index < at; index++) if (script[index].from === 'client' && script[index].opcode) due--;
      for (; at < script.length; at++) {
        const message = script[at];
        if (message.from === 'client' && message.opcode && --due < 0) return;
        if (message.from !== 'server' || !message.opcode) continue;
        if (message.opcode === 'close') ws.close(message.close_code);
        else ws.send(bytesOf(message), { binary: message.opcode === 'binary' });
      }
    };
    ws.on('message', (data, binary) => {
      connection.frames.push({ binary, data });
      advance();
    });
    ws.on('close', (code) => {
      connection.code = code;
      advance();
    });
    ws.on('error', () => {});
    t.after(() => ws.terminate());
    advance();
  });
  return { address: `ws://127.0.0.1:${server.address().port}/gotalk/`, connections, scripts };
}

const vectors = readdirSync(FOLDER)
  .filter((name) => name.startsWith('ws_') && !OF_SERVERS.test(name))
  .map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')));

test('there is a program for every recording of the JavaScript library', () => {
  const known = [...Object.keys(PROGRAMS), ...Object.keys(DIFFERENT)].sort();
  assert.deepEqual(vectors.map((vector) => vector.name).sort(), known);
});

for (const vector of vectors) {
  const different = DIFFERENT[vector.name];
  test(vector.name + (different ? `: ${different.why}` : ''), async (t) => {
    t.mock.method(console, 'error', () => {});
    const { address, connections, scripts } = await serve(t, vector);
    const s = new gotalk.Sock(new gotalk.Handlers());
    t.after(() => s.end(0));
    s.retries = 0;
    s.heartbeatInterval = { ws_js_client_heartbeats: 50, ws_js_connect_heartbeat: 20_000 }[vector.name] ?? 0;
    s.keepalive = vector.name === 'ws_js_read_timeout';
    s.open(address);
    const sent = () => Buffer.concat((connections[0]?.frames ?? []).map(({ data }) => data)).toString();
    if (different) {
      await different.run(s, sent);
      return;
    }
    await PROGRAMS[vector.name](s);
    if (s.state !== 'closed') await closed(s);
    await until(() => connections.length === scripts.length && connections.every(({ code }) => code !== undefined));
    for (const [index, { frames, code, script }] of connections.entries()) {
      compare(vector, script, frames, code, index);
    }
  });
}

/** What was sent is what the recorded client sent: frame by frame, each of its kind. */
function compare(vector, script, frames, code, index) {
  const recorded = script.filter(({ from, opcode }) => from === 'client' && opcode && opcode !== 'close');
  const shown = ({ binary, data }) => `${binary ? 'binary' : 'text'} ${blanked(data.toString('latin1'))}`;
  const wanted = recorded.map((message) => shown({ binary: message.opcode === 'binary', data: bytesOf(message) }));
  const instead = INSTEAD[vector.name] ?? {};
  const expected = wanted.map((text) => (Object.hasOwn(instead, text.slice(5)) ? `text ${instead[text.slice(5)]}` : text));
  const got = frames.map(shown);
  // How many heartbeats there are depends on the clock.
  const countless = vector.name === 'ws_js_client_heartbeats';
  assert.deepEqual(countless ? got.slice(0, 3) : got, countless ? expected.slice(0, 3) : expected, `connection ${index}`);
  const first = script.find(({ opcode }) => opcode === 'close');
  // If the server closed first, there is nothing to compare.
  if (first?.from === 'client') assert.equal(code, first.close_code);
}
