/**
 * Debian's Chromium, driven by Playwright.
 * @module
 */

import assert from 'node:assert/strict';

import { chromium } from 'playwright-core';

import { PATIENCE_MS } from './until.js';

/** @typedef {import('playwright-core').Browser} Browser */
/** @typedef {import('playwright-core').Page} Page */
/** @typedef {import('playwright-core').BrowserContext} BrowserContext */

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** It asks nobody for anything; the tests run as root in places where its sandbox can't. */
const ARGUMENTS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

/** @returns {Promise<Browser>} */
export const launchChromium = () =>
  chromium.launch({ executablePath: EXECUTABLE, args: ARGUMENTS, headless: true, timeout: PATIENCE_MS });

/**
 * A new page, in a profile of its own, that notes what it complains of.
 * @param {import('node:test').TestContext} t
 * @param {Browser} browser
 * @param {string} url
 * @param {{ faults?: string[] }} [noted]
 */
export async function openPage(t, browser, url, { faults = [] } = {}) {
  const context = await browser.newContext();
  t.after(() => context.close());
  context.setDefaultTimeout(PATIENCE_MS);
  context.on('weberror', (error) => faults.push(error.error().message));
  context.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) faults.push(message.text());
  });
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

/** What went wrong in pages: what they complain of, what they fail to load, and whom they ask that they should not. */
export class Watch {
  /** @type {string[]} */
  #faults = [];
  #origin;

  /**
   * @param {BrowserContext} context
   * @param {string} origin all that they may ask
   */
  constructor(context, origin) {
    this.#origin = origin;
    context.setDefaultTimeout(PATIENCE_MS);
    context.on('weberror', (error) => this.#faults.push(`error: ${error.error().message}`));
    context.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.#faults.push(`${message.type()}: ${message.text()}`);
    });
    context.on('request', (request) => this.#asks(request.url()));
    context.on('page', (page) => page.on('websocket', (socket) => this.#asks(socket.url())));
  }

  /** @param {string} url */
  #asks(url) {
    if (new URL(url).host !== new URL(this.#origin).host) this.#faults.push(`request: ${url}`);
  }

  /** Fails if there was anything. @param {RegExp} [but] what belongs to the test */
  clean(but) {
    assert.deepEqual(this.#faults.filter((fault) => !but?.test(fault)), []);
  }
}
