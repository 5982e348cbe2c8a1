/** The package as others get it: packed, installed into an empty folder, imported, required and type-checked. */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { listenStream, listenWs } from './support/peer.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What a program does with it: a call each way, a stream, and the end. */
const BODY = `
  const sock = await gotalk.connect(process.argv[2], { handlers: new gotalk.Handlers() });
  sock.handlers.handleRequest('double', (value) => value * 2);
  let text = await sock.request('echo', '😀');
  for await (const part of sock.stream('cat', ['a', 'b'], { as: 'text' })) text += part;
  console.log(text);
  sock.end();
`;

const PROGRAMS = {
  'program.mjs': `import gotalk, { Sock } from '@switchboard/gotalk';
    if (Sock !== Object.getPrototypeOf(new gotalk.Sock()).constructor) throw new Error('two of them');
    ${BODY}`,
  'program.cjs': `const gotalk = require('@switchboard/gotalk');
    (async () => { ${BODY} })();`,
};

const TYPED = `
import gotalk, { Sock, Handlers, CallError, type CallOptions } from '@switchboard/gotalk';
const handlers: Handlers = new Handlers();
handlers.handleRequest('x', async (params, result, op) => { await result.write(op); result.end(); result.signal.aborted; });
const options: CallOptions = { timeout: 5, signal: new AbortController().signal };
async function run(sock: Sock): Promise<number> {
  for await (const part of sock.stream('x', 'y', { as: 'text' })) void part;
  const bytes: Uint8Array = await sock.bufferRequest('x', new Uint8Array(1), options);
  await sock.hub.subscribe('a/#', (message) => { const topic: string = message.topic; void topic; }, { policy: 'latest' });
  const { account } = await sock.hub.whoami();
  return bytes.length + account.length;
}
gotalk.open(null, (error, sock) => { if (sock) run(sock).catch((e) => e instanceof CallError && e.waitMs); });
// @ts-expect-error: there is no such policy
void ((sock: Sock) => sock.hub.subscribe('a', null, { policy: 'never' }));
`;

function install(t) {
  const folder = mkdtempSync(join(tmpdir(), 'gotalk-pack-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const packed = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], { cwd: ROOT });
  const tarball = join(folder, packed.toString().trim().split('\n').at(-1));
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  execFileSync('npm', ['install', '--silent', '--offline', '--no-audit', '--no-fund', '--legacy-peer-deps', tarball], { cwd: folder });
  // What a program has of its own.
  symlinkSync(join(ROOT, 'node_modules/ws'), join(folder, 'node_modules/ws'));
  for (const [name, text] of Object.entries(PROGRAMS)) writeFileSync(join(folder, name), text);
  return { folder, listing: execFileSync('tar', ['-tzf', tarball]).toString().split('\n') };
}

/** Runs a program, and answers it. */
async function talk(server, folder, program) {
  const child = spawn(process.execPath, [program, server.address], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (data) => (text += data));
  const exited = new Promise((resolve) => child.on('exit', resolve));
  const peer = await (await server.accept()).handshake();
  const echo = await peer.next('r');
  peer.send({ t: 'R', id: echo.id, payload: echo.payload }, { t: 'r', id: 'abcd', name: 'double', payload: '21' });
  // The answer, and the stream, in whichever order.
  const seen = [];
  for (let count = 0; count < 4; count++) {
    const message = await peer.next();
    seen.push(message.t + message.payload);
    if (message.t !== 'R') peer.send({ t: 'S', id: message.id, payload: message.payload });
  }
  assert.deepEqual(seen.sort(), ['R42', 'p', 'pb', 'sa']);
  await new Promise((resolve) => peer.socket?.once('end', resolve) ?? peer.closed.then(resolve));
  peer.close();
  assert.equal(await exited, 0);
  assert.equal(text, '😀ab\n');
}

test('packed and installed', async (t) => {
  execFileSync('npm', ['run', '--silent', 'prepack'], { cwd: ROOT });
  const { folder, listing } = install(t);
  await t.test('the package holds what it needs, and no tests', () => {
    for (const path of ['README.md', 'dist/gotalk.js', 'dist/node.cjs', 'src/node.js', 'types/node.d.ts', 'dist/types/node.d.ts']) {
      assert.ok(listing.includes(`package/${path}`), path);
    }
    assert.ok(!listing.some((path) => /test|node_modules/.test(path)));
  });
  const servers = {
    WebSocket: await listenWs(t),
    'a foreign WebSocket': await listenWs(t, { ours: false }),
    TCP: await listenStream(t),
    Unix: await listenStream(t, join(folder, 'gotalk.sock')),
  };
  for (const [kind, server] of Object.entries(servers)) {
    await t.test(`imported, over ${kind}`, () => talk(server, folder, 'program.mjs'));
    await t.test(`required, over ${kind}`, () => talk(server, folder, 'program.cjs'));
  }
  await t.test('its types are right, for modules and CommonJS', () => {
    mkdirSync(join(folder, 'node_modules/@types'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'));
    writeFileSync(join(folder, 'typed.mts'), TYPED);
    writeFileSync(join(folder, 'typed.cts'), TYPED.replace('import gotalk, {', 'import gotalk = require("@switchboard/gotalk");\nimport {').replace(/gotalk\.open/, 'gotalk.default.open'));
    const config = { compilerOptions: { strict: true, module: 'nodenext', target: 'es2022', lib: ['es2022', 'dom'], noEmit: true, types: ['node'] }, files: ['typed.mts', 'typed.cts'] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    try {
      execFileSync(process.execPath, [tsc, '-p', folder]);
    } catch (error) {
      assert.fail(String(error.stdout));
    }
  });
});
