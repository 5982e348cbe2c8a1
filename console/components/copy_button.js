/**
 * Copies a text.
 * @module
 */

import { element, fill, icon } from '../lib/element.js';

/** How long it says that it has, in milliseconds. */
const SAID_MS = 1500;

/**
 * @param {() => string} text
 * @returns {HTMLElement | null} null where a page may not copy: only what is loaded safely may
 */
export function copyButton(text) {
  if (!navigator.clipboard) return null;
  const button = element('button', { class: 'quiet round copy', type: 'button', 'aria-label': 'Copy', title: 'Copy' }, icon('copy'));
  button.addEventListener('click', async () => {
    const copied = await navigator.clipboard.writeText(text()).then(
      () => true,
      () => false,
    );
    if (!copied) return;
    fill(button, icon('done'));
    setTimeout(() => fill(button, icon('copy')), SAID_MS);
  });
  return button;
}
