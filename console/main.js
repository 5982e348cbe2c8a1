/**
 * The console: its frame, and which view is in it.
 * @module
 */

import { connectionLight, lostBanner } from './components/connection.js';
import { themeSwitch } from './components/theme_switch.js';
import { element, icon, say } from './lib/element.js';
import { hrefOf, route } from './lib/route.js';
import { callView } from './views/call.js';
import { chatView } from './views/chat.js';
import { overview } from './views/overview.js';
import { topicsView } from './views/topics.js';

/**
 * A view is made when it is first shown, and kept: what it watches goes on.
 * @typedef {object} View
 * @property {string} title
 * @property {HTMLElement} node
 * @property {(rest: string) => void} shown it comes into sight, or what is in the address after its name is another
 * @property {() => void} left
 * @property {import('./lib/value.js').Value<number>} [unseen] how much happened out of sight
 */

/** By name, the first where no other is named. @type {Record<string, { make: () => View, label: string, icon: import('./lib/element.js').IconName }>} */
const VIEWS = {
  overview: { make: overview, label: 'Overview', icon: 'overview' },
  call: { make: callView, label: 'Call', icon: 'call' },
  topics: { make: topicsView, label: 'Topics', icon: 'topics' },
  chat: { make: chatView, label: 'Chat', icon: 'chat' },
};
const FIRST = 'overview';

/** Counts up to here. */
const UNSEEN_SHOWN_MAX = 99;

/** @type {Map<string, View>} */
const made = new Map();
/** @type {Map<string, { link: HTMLElement, badge: HTMLElement }>} */
const tabs = new Map();
const main = element('main', { id: 'main', tabindex: '-1' }, lostBanner());
/** @type {View | null} */
let current = null;

document.body.append(
  element('a', { class: 'skip', href: '#main', on: { click: skip } }, 'Skip to the content'),
  element(
    'header',
    { class: 'top' },
    element('a', { class: 'brand', href: hrefOf(FIRST) }, element('img', { src: '/console/icon.svg', alt: '', width: '28', height: '28' }), 'Switchboard'),
    element('div', { class: 'top-end' }, connectionLight(), themeSwitch()),
  ),
  element('nav', { class: 'tabs', 'aria-label': 'Console' }, ...Object.keys(VIEWS).map(tab)),
  main,
);
route.watch(show);

/** @param {string} name */
function tab(name) {
  const badge = element('span', { class: 'badge', hidden: true });
  const known = VIEWS[name];
  const link = element('a', { href: hrefOf(name) }, known && icon(known.icon), element('span', {}, known?.label), badge);
  tabs.set(name, { link, badge });
  return link;
}

/** @param {import('./lib/route.js').Route} where */
function show({ view, rest }) {
  const name = Object.hasOwn(VIEWS, view) ? view : FIRST;
  const next = made.get(name) ?? make(name);
  if (next !== current) {
    const isFirst = !current;
    current?.left();
    if (current) current.node.hidden = true;
    next.node.hidden = false;
    current = next;
    for (const [other, { link }] of tabs) {
      if (other === name) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    scrollTo(0, 0);
    // Whoever listens hears where they are now. At first the page itself is read.
    if (!isFirst) next.node.querySelector('h1')?.focus();
  }
  next.shown(rest);
  title();
}

/** @param {string} name */
function make(name) {
  const view = /** @type {View} */ (VIEWS[name]?.make());
  made.set(name, view);
  main.append(view.node);
  view.unseen?.watch((count) => {
    const { badge } = tabs.get(name) ?? {};
    if (!badge) return;
    badge.hidden = !count;
    say(badge, count > UNSEEN_SHOWN_MAX ? `${UNSEEN_SHOWN_MAX}+` : String(count));
    title();
  });
  return view;
}

function title() {
  const unseen = [...made.values()].some((view) => view !== current && view.unseen?.get());
  document.title = `${unseen ? '• ' : ''}${current?.title ?? ''} · Switchboard`;
}

/** The hash is taken: it says which view is shown. @param {Event} event */
function skip(event) {
  event.preventDefault();
  main.focus();
}
