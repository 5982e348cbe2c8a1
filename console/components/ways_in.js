/**
 * How to take part: lines to copy.
 * @module
 */

import { element } from '../lib/element.js';
import { copyButton } from './copy_button.js';
import { panel } from './panel.js';

/** @returns {HTMLElement} */
export function waysIn() {
  const { origin } = location;
  /** @type {Array<[title: string, lines: string]>} */
  const ways = [
    [
      'A shell',
      `switchboard handle upper -- tr a-z A-Z
switchboard call upper hello
switchboard subscribe 'home/#'`,
    ],
    [
      'curl',
      `curl -d hello ${origin}/call/upper
curl -d on ${origin}/publish/home/lamp
curl -N '${origin}/subscribe?topic=home/%23'`,
    ],
    [
      'A web page',
      `<script src="${origin}/gotalk/gotalk.js"></script>
<script>
const hub = gotalk.connection().hub;
hub.serve({ greet: ({ name }) => \`Hello \${name}\` });
hub.subscribe('home/#', (message) => console.log(message.text()));
</script>`,
    ],
  ];
  return panel(
    'Take part',
    {},
    element('div', { class: 'ways' }, ...ways.map(([title, lines]) => way(title, lines))),
    element(
      'p',
      { class: 'hint' },
      'For machines: ',
      element('a', { href: '/healthz' }, 'healthz'),
      ', ',
      element('a', { href: '/metrics' }, 'metrics'),
      ', ',
      element('a', { href: '/gotalk/gotalk.js' }, 'gotalk.js'),
      '.',
    ),
  );
}

/**
 * @param {string} title
 * @param {string} lines
 */
const way = (title, lines) =>
  element(
    'div',
    { class: 'way' },
    element('h3', {}, title),
    copyButton(() => lines),
    element('pre', { tabindex: '0', role: 'group', 'aria-label': title }, lines),
  );
