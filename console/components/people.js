/**
 * Who is in a room.
 * @module
 */

import { isMe } from '../lib/chat_room.js';
import { element, say } from '../lib/element.js';
import { countOf } from '../lib/format.js';
import { rows } from '../lib/rows.js';

/** @typedef {import('../lib/chat_room.js').Person} Person */

/**
 * @param {string} name
 * @returns {HTMLElement} a letter on a colour, the same for the same name
 */
export function avatar(name) {
  let hue = 0;
  for (const char of name) hue = (hue * 31 + (char.codePointAt(0) ?? 0)) % 360;
  const [letter = '?'] = name.toUpperCase();
  return element('span', { class: 'avatar', 'aria-hidden': 'true', vars: { hue: String(hue) } }, letter);
}

export function peopleList() {
  const list = element('ul', { class: 'people' });
  const count = element('span', { class: 'count' }, '0');
  const show = rows(list, (/** @type {Person} */ { tab, name }) => `${tab} ${name}`, personRow);
  return {
    node: element('div', {}, element('div', { class: 'panel-head' }, element('h2', {}, 'Here'), count), list),
    /** @param {Person[]} people */
    show(people) {
      show([...people].sort((one, other) => one.name.localeCompare(other.name)));
      say(count, countOf(people.length));
    },
  };
}

/**
 * @param {Person} person
 * @returns {import('../lib/rows.js').Row<Person>}
 */
const personRow = (person) => ({
  node: element('li', {}, avatar(person.name), element('span', { class: 'name' }, person.name), isMe(person) && element('span', { class: 'tag mine' }, 'you')),
  update() {},
});
