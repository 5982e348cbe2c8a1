/**
 * A titled part of a view, and what is there when nothing is.
 * @module
 */

import { element } from '../lib/element.js';

let last = 0;

/**
 * @param {string} title
 * @param {{ aside?: import('../lib/element.js').Child, class?: string }} more `aside`: at the title's right
 * @param {...import('../lib/element.js').Child} children
 */
export function panel(title, { aside, class: name = '' }, ...children) {
  const id = `panel-${++last}`;
  const head = element('div', { class: 'panel-head' }, element('h2', { id }, title), aside);
  return element('section', { class: `panel ${name}`, 'aria-labelledby': id }, head, ...children);
}

/**
 * @param {string} title
 * @param {...import('../lib/element.js').Child} children
 */
export function nothing(title, ...children) {
  return element('div', { class: 'nothing' }, element('p', { class: 'nothing-title' }, title), ...children);
}
