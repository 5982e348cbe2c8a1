/**
 * The other side of a connection, as a test wants it: over WebSocket, TCP or a Unix socket, or without any network.
 */

import { once } from 'node:events';
import net from 'node:net';

import { WebSocketServer } from 'ws';

import { Reader, encode } from './wire.js';

/** One connection, from the test's side. */
export class Peer {
  /** Frames as they came, `{ text, bytes }`. */
  frames = [];
  #reader = new Reader();
  #messages = [];
  #waiting = [];

  /** @param {{ send(bytes: Buffer): void, close(code?: number): void, cut(): void }} wire */
  constructor(wire) {
    this.wire = wire;
    this.closed = new Promise((resolve) => (this.onClosed = resolve));
  }

  received(bytes, text = false) {
    this.frames.push({ text, bytes });
    for (const message of this.#reader.read(bytes)) {
      if (this.answer?.(message)) continue;
      const next = this.#waiting.shift();
      if (next) next(message);
      else this.#messages.push(message);
    }
  }

  /** @returns {Promise<object>} the next message; heartbeats only if they are asked for */
  async next(t) {
    for (;;) {
      const message =
        this.#messages.shift() ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
      if (t === 'h' ? message.t === 'h' : message.t !== 'h') {
        if (t && message.t !== t) throw new Error(`${t} was awaited, ${JSON.stringify(message)} came`);
        return message;
      }
    }
  }

  /** Sends messages in one piece. */
  send(...messages) {
    this.wire.send(Buffer.concat(messages.map((message) => (Buffer.isBuffer(message) ? message : encode(message)))));
  }

  /** Both versions. */
  async handshake() {
    this.wire.send(Buffer.from('01'));
    await this.next('v');
    return this;
  }

  close(code) {
    this.wire.close(code);
  }

  /** Drops the connection without a word. */
  cut() {
    this.wire.cut();
  }
}

/** Listens; hands out peers in the order in which they connect. */
class Listener {
  #peers = [];
  #waiting = [];

  add(peer) {
    const next = this.#waiting.shift();
    if (next) next(peer);
    else this.#peers.push(peer);
  }

  /** @returns {Promise<Peer>} */
  async accept() {
    return this.#peers.shift() ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
  }
}

/**
 * @param {object} [options]
 * @param {boolean} [options.ours] whether the server knows our sub-protocol; otherwise it selects none
 * @param {number} [options.port]
 */
export async function listenWs(t, { ours = true, port = 0 } = {}) {
  const listener = new Listener();
  const server = new WebSocketServer({
    port,
    host: '127.0.0.1',
    handleProtocols: (offered) => (ours && offered.has('switchboard.1') ? 'switchboard.1' : false),
  });
  await once(server, 'listening');
  listener.offers = [];
  listener.sockets = new Set();
  server.on('connection', (ws, request) => {
    listener.offers.push(request.headers['sec-websocket-protocol']);
    listener.sockets.add(ws);
    const peer = new Peer({
      send: (bytes) => ws.send(bytes),
      close: (code) => ws.close(code),
      cut: () => ws.terminate(),
    });
    peer.ws = ws;
    ws.on('message', (data, binary) => peer.received(data, !binary));
    ws.on('close', (code) => peer.onClosed(code));
    ws.on('error', () => {});
    // A client that asked for a sub-protocol and got none fails the connection: that is no peer.
    if (ours || !request.headers['sec-websocket-protocol']) listener.add(peer);
  });
  listener.address = `ws://127.0.0.1:${server.address().port}/gotalk/`;
  listener.port = server.address().port;
  listener.close = async () => {
    for (const ws of listener.sockets) ws.terminate();
    await new Promise((resolve) => server.close(resolve));
  };
  t.after(() => listener.close());
  return listener;
}

/** @param {string} [path] of a Unix socket; TCP if not given */
export async function listenStream(t, path) {
  const listener = new Listener();
  const sockets = new Set();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    const peer = new Peer({
      send: (bytes) => socket.write(bytes),
      close: () => socket.end(),
      cut: () => socket.resetAndDestroy?.() ?? socket.destroy(),
    });
    peer.socket = socket;
    socket.on('data', (data) => peer.received(data));
    socket.on('end', () => peer.onEnd?.());
    socket.on('error', () => {});
    socket.on('close', () => peer.onClosed());
    listener.add(peer);
  });
  server.listen(path ?? { port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  listener.address = path ? `unix://${path}` : `tcp://127.0.0.1:${server.address().port}`;
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return listener;
}

/**
 * A sock and its peer without any network: what one side sends, the other has in the next turn.
 * @param {object} [options] of the sock
 * @returns {{ sock: import('../../src/sock.js').Sock, peer: Peer, wire: object }}
 */
export function pair(t, gotalk, options = {}, { protocol = 'switchboard.1' } = {}) {
  const wire = {
    readyState: 1,
    protocol,
    binaryType: '',
    bufferedAmount: 0,
    onopen: null,
    onmessage: null,
    onclose: null,
    onerror: null,
    send: (data) => peer.received(Buffer.from(data), typeof data === 'string'),
    close(code) {
      if (wire.readyState > 1) return;
      wire.readyState = 3;
      peer.onClosed(code);
      queueMicrotask(() => wire.onclose?.({ code }));
    },
  };
  const peer = new Peer({
    send: (bytes) => wire.onmessage?.({ data: Uint8Array.from(bytes).buffer }),
    close(code = 1000) {
      wire.readyState = 3;
      wire.onclose?.({ code });
    },
    cut: () => peer.wire.close(1006),
  });
  const sock = Object.assign(new gotalk.Sock(new gotalk.Handlers()), { heartbeatInterval: 0, ...options });
  sock.adoptWebSocket(wire);
  t.after(() => sock.end(0));
  peer.send(Buffer.from('01'));
  return { sock, peer, wire };
}
