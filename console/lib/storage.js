/**
 * What the browser remembers for us, if it may.
 * @module
 */

const PREFIX = 'switchboard.';

/**
 * @param {string} name
 * @returns {string} empty if it is not known
 */
export function recall(name) {
  try {
    return localStorage.getItem(PREFIX + name) ?? '';
  } catch {
    return '';
  }
}

/**
 * @param {string} name
 * @param {string} value empty forgets it
 */
export function remember(name, value) {
  try {
    if (value) localStorage.setItem(PREFIX + name, value);
    else localStorage.removeItem(PREFIX + name);
  } catch {
    // Storage is forbidden or full: then it is not remembered.
  }
}
