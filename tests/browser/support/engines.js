/**
 * What is the same in both engines.
 * @module
 */

import * as chromium from './chromium.js';
import * as firefox from './firefox.js';
import { until } from './until.js';

/**
 * A page, as far as both drivers know the same words.
 * @typedef {object} Page
 * @property {(selector: string) => Promise<void>} click
 * @property {(selector: string, text: string) => Promise<void>} type
 * @property {(read: (selector: string) => string[], selector: string) => Promise<string[]>} evaluate
 *
 * @callback Open
 * @param {import('node:test').TestContext} t that it ends with
 * @param {string} url
 * @param {{ faults?: string[] }} [noted]
 * @returns {Promise<Page>}
 */

/** Browsers by name, each with how to open a page in one. */
export const ENGINES = {
  async Chromium() {
    const browser = await chromium.launchChromium();
    /** @type {Open} */
    const open = (t, url, noted) => chromium.openPage(t, browser, url, noted);
    return { open, close: () => browser.close() };
  },
  async Firefox() {
    const browser = await firefox.launchFirefox();
    /** @type {Open} */
    const open = (t, url, noted) => firefox.openPage(t, browser, url, noted);
    return { open, close: () => browser.close() };
  },
};

/**
 * The texts of all elements that a selector finds.
 * @param {Page} page
 * @param {string} selector
 */
export const texts = (page, selector) =>
  page.evaluate((selector) => [...document.querySelectorAll(selector)].map((one) => one.textContent ?? ''), selector);

/**
 * Waits until an element has a text.
 * @param {Page} page
 * @param {string} selector
 * @param {string} text all of it
 */
export const shows = (page, selector, text) =>
  until(`${selector}: ${text}`, async () => (await texts(page, selector)).includes(text));

/**
 * Puts a text into a field, in place of what is there.
 * @param {Page} page
 * @param {string} selector
 * @param {string} text
 */
export async function fill(page, selector, text) {
  await page.evaluate((selector) => {
    /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll(selector)).forEach((field) => (field.value = ''));
    return [];
  }, selector);
  await page.type(selector, text);
}
