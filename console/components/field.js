/**
 * Input with a label, and perhaps a word below.
 * @module
 */

import { element } from '../lib/element.js';

let last = 0;

/**
 * @template {HTMLInputElement | HTMLTextAreaElement} I
 * @param {string} label
 * @param {I} input
 * @param {{ hint?: Node | string, class?: string }} [more]
 * @returns {HTMLElement}
 */
export function field(label, input, { hint, class: name = '' } = {}) {
  input.id ||= `field-${++last}`;
  const below = hint && element('p', { class: 'hint', id: `${input.id}-hint` }, hint);
  if (below) input.setAttribute('aria-describedby', below.id);
  return element('div', { class: `field ${name}` }, element('label', { for: input.id }, label), input, below);
}

/** What names of operations, topics and rooms are typed into: nobody should correct them. */
export const AS_TYPED = { autocomplete: 'off', autocapitalize: 'off', autocorrect: 'off', spellcheck: 'false' };

/**
 * @param {string} label
 * @returns {{ node: HTMLElement, input: HTMLInputElement }}
 */
export function checkbox(label) {
  const input = element('input', { type: 'checkbox' });
  return { node: element('label', { class: 'check' }, input, element('span', {}, label)), input };
}
