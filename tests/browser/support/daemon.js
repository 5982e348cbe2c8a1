/**
 * The daemon as a process, and the commands that talk to it.
 * @module
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import gotalk from '../../../clients/js/src/node.js';
import { SWITCHBOARD } from './built.js';

/** @typedef {import('../../../clients/js/src/gotalk.js').Sock} Sock */

export class Daemon {
  #folder = mkdtempSync(join(tmpdir(), 'switchboard-browser-'));
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child;
  /** @type {Promise<unknown> | undefined} */
  #exited;
  /** @type {Sock[]} */
  #socks = [];
  #environment;
  /** What it logged. */
  log = '';
  /** Where it listens, as it said: `http://127.0.0.1:PORT`, which is an origin too. */
  origin = 'http://127.0.0.1:0';
  /** For programs: `tcp://127.0.0.1:PORT`. */
  tcp = 'tcp://127.0.0.1:0';

  /** @param {Record<string, string>} environment settings, as `SWITCHBOARD_SECTION_KEY` */
  constructor(environment) {
    this.#environment = environment;
  }

  /** The address of gotalk over WebSocket. */
  get webSocket() {
    return `${this.origin.replace('http', 'ws')}/gotalk/`;
  }

  /** Starts it, again at the same addresses, and waits until it is ready. */
  async start() {
    assert.ok(existsSync(SWITCHBOARD), `${SWITCHBOARD} is not built`);
    const listen = [this.tcp, this.origin].flatMap((address) => ['--listen', address]);
    const child = this.#spawn(['serve', '--data', join(this.#folder, 'data'), ...listen], this.#environment);
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once('exit', resolve));
    child.stderr.on('data', (text) => (this.log += text));
    for await (const line of createInterface({ input: child.stdout })) {
      const address = line.split(/\s+/)[1] ?? '';
      if (address.startsWith('http')) this.origin = address;
      else if (address) this.tcp = address;
      else if (line === 'ready') return;
    }
    throw new Error(`the daemon ended: ${this.log}`);
  }

  /** Without a chance to say goodbye. */
  async kill() {
    this.#child?.kill('SIGKILL');
    await this.#exited;
  }

  /**
   * Starts it again, at the same addresses, with more settings.
   * @param {Record<string, string>} environment
   */
  async reconfigure(environment) {
    await this.kill();
    this.#environment = { ...this.#environment, ...environment };
    await this.start();
  }

  /** Ends all that was started here. */
  async end() {
    for (const sock of this.#socks) sock.end(0);
    await this.kill();
    rmSync(this.#folder, { recursive: true });
  }

  /**
   * Runs a command to its end.
   * @param {string[]} args
   * @param {string | Uint8Array} [input]
   * @returns {Promise<{ code: number, stdout: string, stderr: string }>}
   */
  run(args, input = '') {
    const child = this.#spawn(args);
    const out = { code: -1, stdout: '', stderr: '' };
    child.stdout.on('data', (text) => (out.stdout += text));
    child.stderr.on('data', (text) => (out.stderr += text));
    // Most commands do not read it, and may be gone already.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    return new Promise((resolve) => child.once('close', (code) => resolve({ ...out, code: code ?? -1 })));
  }

  /**
   * The same for a command that must succeed.
   * @param {string[]} args
   * @param {string | Uint8Array} [input]
   * @returns {Promise<string>} what it printed
   */
  async succeed(args, input) {
    const { code, stdout, stderr } = await this.run(args, input);
    assert.equal(code, 0, `switchboard ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  /**
   * A program beside the test, that ends with the daemon.
   * @returns {Promise<Sock>}
   */
  async program() {
    const sock = await gotalk.connect(this.tcp, { handlers: new gotalk.Handlers() });
    this.#socks.push(sock);
    return sock;
  }

  /**
   * @param {string[]} args
   * @param {Record<string, string>} [environment]
   */
  #spawn(args, environment = { SWITCHBOARD_HUB: this.tcp }) {
    const env = { PATH: process.env.PATH ?? '', ...environment };
    return spawn(SWITCHBOARD, args, { cwd: this.#folder, env, stdio: 'pipe' });
  }
}

/**
 * A daemon for the tests of one file.
 * @param {Record<string, string>} [environment] settings
 */
export async function startDaemon(environment = {}) {
  const daemon = new Daemon(environment);
  await daemon.start();
  return daemon;
}
