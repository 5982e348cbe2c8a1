/**
 * The console, as somebody who uses it meets it.
 * @module
 */

import { Watch } from './chromium.js';

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {import('playwright-core').BrowserContextOptions} Options */

/**
 * The console in a window of its own, that is connected.
 * @param {import('node:test').TestContext} t
 * @param {import('./chromium.js').Browser} browser
 * @param {string} origin
 * @param {{ hash?: string } & Options} [options]
 */
export async function openConsole(t, browser, origin, { hash = '', ...options } = {}) {
  const context = await browser.newContext(options);
  t.after(() => context.close());
  const watch = new Watch(context, origin);
  const page = await newTab(context, origin, hash);
  return { context, page, watch };
}

/**
 * @param {import('./chromium.js').BrowserContext} context
 * @param {string} origin
 * @param {string} [hash]
 */
export async function newTab(context, origin, hash = '') {
  const page = await context.newPage();
  await page.goto(`${origin}/${hash}`);
  await connected(page);
  return page;
}

/** @param {Page} page */
export const connected = (page) => page.getByRole('status').filter({ hasText: 'Connected' }).waitFor();

/**
 * Goes to a view as one does: by its link.
 * @param {Page} page
 * @param {'Overview' | 'Call' | 'Topics' | 'Chat'} name
 */
export async function goTo(page, name) {
  await page.getByRole('navigation').getByRole('link', { name }).click();
  await page.getByRole('heading', { level: 1, name }).waitFor();
}

/**
 * Calls an operation by the form.
 * @param {Page} page
 * @param {string} op
 * @param {string} [payload]
 */
export async function call(page, op, payload = '') {
  await goTo(page, 'Call');
  await page.getByRole('combobox', { name: 'Operation' }).fill(op);
  await page.getByRole('textbox', { name: 'Payload' }).fill(payload);
  await page.getByRole('button', { name: 'Call', exact: true }).click();
}

/** What the last call came to. @param {Page} page */
export const outcome = (page) => page.getByRole('region', { name: 'Answer' }).getByRole('status');

/** @param {Page} page @param {string} filter */
export async function watchTopic(page, filter) {
  await page.getByRole('textbox', { name: 'Topic or filter' }).fill(filter);
  await page.getByRole('button', { name: 'Watch', exact: true }).click();
  await watched(page, filter).waitFor();
}

/** That the hub has granted it. @param {Page} page @param {string} filter */
export const watched = (page, filter) =>
  page.getByRole('list', { name: 'Watched filters' }).locator('[aria-busy=false]').getByText(filter, { exact: true });

/** @param {Page} page @param {string} text */
export async function say(page, text) {
  await page.getByRole('textbox', { name: 'Message' }).fill(text);
  await page.keyboard.press('Enter');
}
