/**
 * Debian's Firefox, driven by WebDriver BiDi, which it speaks itself: no driver in between is needed.
 * @module
 */

import puppeteer from 'puppeteer-core';

import { PATIENCE_MS } from './until.js';

/** @typedef {import('puppeteer-core').Page} Page */

const EXECUTABLE = process.env.FIREFOX ?? '/usr/bin/firefox-esr';

/** It asks nobody for anything. */
const PREFERENCES = {
  'app.normandy.enabled': false,
  'app.update.enabled': false,
  'browser.region.network.url': '',
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'browser.search.geoip.url': '',
  'datareporting.policy.dataSubmissionEnabled': false,
  'extensions.getAddons.cache.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.dns.disablePrefetch': true,
  'network.http.speculative-parallel-limit': 0,
  'services.settings.server': '',
  'toolkit.telemetry.enabled': false,
};

export const launchFirefox = () =>
  puppeteer.launch({
    browser: 'firefox',
    executablePath: EXECUTABLE,
    headless: true,
    extraPrefsFirefox: PREFERENCES,
    timeout: 3 * PATIENCE_MS,
  });

/**
 * A new page, that notes what it complains of.
 * @param {import('node:test').TestContext} t
 * @param {import('puppeteer-core').Browser} browser
 * @param {string} url
 * @param {{ faults?: string[] }} [noted]
 */
export async function openPage(t, browser, url, { faults = [] } = {}) {
  const page = await browser.newPage();
  t.after(() => page.close());
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    if (['error', 'warn'].includes(message.type())) faults.push(message.text());
  });
  await page.goto(url);
  return page;
}
