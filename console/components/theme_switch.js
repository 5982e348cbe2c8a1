/**
 * Light or dark: as the system has it, unless somebody chooses.
 * @module
 */

import { element, fill, icon } from '../lib/element.js';
import { recall, remember } from '../lib/storage.js';

/** In the order in which the button goes through them. @type {Array<'system' | 'light' | 'dark'>} */
const THEMES = ['system', 'light', 'dark'];

/** @returns {HTMLElement} */
export function themeSwitch() {
  const button = element('button', { class: 'quiet round theme', type: 'button' });
  let theme = THEMES.find((theme) => theme === recall('theme')) ?? 'system';

  const show = () => {
    const { dataset } = document.documentElement;
    if (theme === 'system') delete dataset.theme;
    else dataset.theme = theme;
    button.setAttribute('aria-label', `Theme: ${theme}. Change`);
    button.title = `Theme: ${theme}`;
    fill(button, icon(theme));
  };

  button.addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'system';
    remember('theme', theme === 'system' ? '' : theme);
    show();
  });
  show();
  return button;
}
