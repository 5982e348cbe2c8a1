/**
 * Numbers, times and sizes as people read them.
 * @module
 */

const number = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const exactClock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hourCycle: 'h23',
});

const KIB = 1024;
const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** @param {number} count */
export const countOf = (count) => number.format(count);

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export const plural = (count, one, many = `${one}s`) => `${countOf(count)} ${count === 1 ? one : many}`;

/** @param {number} bytes */
export function sizeOf(bytes) {
  if (bytes < KIB) return plural(bytes, 'byte');
  if (bytes < KIB * KIB) return `${trimmed(bytes / KIB)} KiB`;
  return `${trimmed(bytes / KIB / KIB)} MiB`;
}

/** @param {number} ms */
export function durationOf(ms) {
  if (ms < SECOND_MS) return `${trimmed(ms)} ms`;
  if (ms < MINUTE_MS) return `${(ms / SECOND_MS).toFixed(ms < 10 * SECOND_MS ? 2 : 1)} s`;
  return `${Math.floor(ms / MINUTE_MS)} min ${Math.floor((ms % MINUTE_MS) / SECOND_MS)} s`;
}

/** @param {number} ms how long something lasts, roughly */
export function ageOf(ms) {
  if (ms < MINUTE_MS) return 'just now';
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min`;
  if (ms < 2 * DAY_MS) return `${Math.floor(ms / HOUR_MS)} h`;
  return `${Math.floor(ms / DAY_MS)} days`;
}

/** @param {number} perSecond */
export const rateOf = (perSecond) => `${perSecond < 10 ? trimmed(perSecond) : countOf(Math.round(perSecond))}/s`;

/** @param {number} unixMs */
export const clockOf = (unixMs) => clock.format(unixMs);

/** @param {number} unixMs to the millisecond */
export const exactClockOf = (unixMs) => exactClock.format(unixMs);

/** @param {number} value with one digit after the point, if that says something */
const trimmed = (value) => (value >= 100 ? String(Math.round(value)) : value.toFixed(1).replace(/\.0$/, ''));
