/**
 * The examples that serve pages, as processes.
 * @module
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { example } from './built.js';

/**
 * Starts an example, and waits until it says where its pages are.
 * @param {string} name
 * @param {string[]} args
 * @returns {Promise<{ origin: string, end: () => Promise<unknown> }>}
 */
export async function startExample(name, args) {
  const binary = example(name);
  assert.ok(existsSync(binary), `${binary} is not built`);
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const end = () => (child.kill('SIGKILL'), exited);
  for await (const line of createInterface({ input: child.stdout })) {
    const origin = /^open (http:\/\/[^/]+)\//.exec(line)?.[1];
    if (origin) return { origin, end };
  }
  throw new Error(`${name} ended`);
}
