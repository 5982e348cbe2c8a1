/**
 * What is served, and who is here.
 * @module
 */

import { nothing, panel } from '../components/panel.js';
import { waysIn } from '../components/ways_in.js';
import { directory, leave, look } from '../lib/directory.js';
import { element, say } from '../lib/element.js';
import { ageOf, countOf, plural, rateOf } from '../lib/format.js';
import { me } from '../lib/hub.js';
import { hrefOf } from '../lib/route.js';
import { rows } from '../lib/rows.js';

/** @typedef {import('../lib/directory.js').Directory} Directory */
/** @typedef {import('../lib/directory.js').Operation} Operation */
/** @typedef {import('../lib/directory.js').Session} Session */

/** Operations of the hub's own begin so. */
const OWN = 'hub.';

/** @returns {import('../main.js').View} */
export function overview() {
  return {
    title: 'Overview',
    node: element(
      'div',
      { class: 'view overview' },
      element('h1', { tabindex: '-1' }, 'Overview'),
      element('p', { class: 'lead' }, 'What this hub offers, and who is here.'),
      figures(),
      element('div', { class: 'columns' }, served(), here()),
      waysIn(),
    ),
    shown: look,
    left: leave,
  };
}

/** @returns {HTMLElement} how much there is of what */
function figures() {
  /** @type {Array<[label: string, of: (now: Directory) => number, rate: boolean]>} */
  const all = [
    ['Sessions', ({ stats }) => stats.sessions ?? 0, false],
    ['Operations', ({ operations }) => operations.filter(({ op }) => !op.startsWith(OWN)).length, false],
    ['Calls', callsOf, true],
    ['Published', ({ stats }) => stats.published ?? 0, true],
    ['Delivered', ({ stats }) => stats.delivered ?? 0, true],
  ];
  const list = element('dl', { class: 'figures' });
  const updates = all.map(([label, of, hasRate]) => {
    const value = element('dd', { class: 'figure' }, '–');
    const rate = hasRate && element('dd', { class: 'rate' }, '');
    list.append(element('div', {}, element('dt', {}, label), value, rate || ''));
    return (/** @type {Directory} */ now, /** @type {Directory | null} */ before) => {
      say(value, countOf(of(now)));
      // After a restart of the hub it counts from zero.
      const more = before ? Math.max(of(now) - of(before), 0) : 0;
      if (rate && before) say(rate, rateOf((more * 1000) / (now.at - before.at)));
    };
  });
  /** @type {Directory | null} */
  let before = null;
  directory.watch((now) => {
    if (!now) return;
    for (const update of updates) update(now, before);
    before = now;
  });
  return list;
}

/**
 * @param {Directory} now
 * @returns {number} without those of the hub's own operations, most of which this page makes
 */
function callsOf({ stats, operations }) {
  const own = operations.filter(({ op }) => op.startsWith(OWN)).reduce((sum, { calls }) => sum + calls, 0);
  return Math.max((stats.calls ?? 0) - own, 0);
}

/** @returns {HTMLElement} the operations */
function served() {
  const list = element('ul', { class: 'list operations', 'aria-label': 'Operations' });
  const ownList = element('ul', { class: 'list operations', 'aria-label': 'The hub’s own operations' });
  const count = element('span', { class: 'count' });
  const none = nothing(
    'Nothing is served yet',
    element('p', {}, 'Let a program answer an operation, and it appears here:'),
    element('pre', {}, 'switchboard handle upper -- tr a-z A-Z'),
  );
  const more = element('p', { class: 'hint', hidden: true }, 'There are more; these are the first.');
  const own = element('details', { class: 'fold' }, element('summary', {}, 'The hub’s own'), ownList);
  const show = rows(list, ({ op }) => op, operationRow);
  const showOwn = rows(ownList, ({ op }) => op, operationRow);
  none.hidden = own.hidden = true;
  directory.watch((now) => {
    if (!now) return;
    const others = now.operations.filter(({ op }) => !op.startsWith(OWN));
    show(others);
    showOwn(now.operations.filter(({ op }) => op.startsWith(OWN)));
    say(count, countOf(others.length));
    none.hidden = others.length > 0;
    more.hidden = !now.more.operations;
    own.hidden = false;
  });
  return panel('Served', { aside: count }, list, none, more, own);
}

/**
 * @param {Operation} operation
 * @returns {import('../lib/rows.js').Row<Operation>}
 */
function operationRow({ op }) {
  const facts = element('span', { class: 'facts' });
  const busy = element('span', { class: 'tag busy' });
  const link = element('a', { href: hrefOf('call', op) }, element('span', { class: 'name mono' }, op), busy, facts);
  return {
    node: element('li', {}, link),
    update({ responders, calls, in_flight: inFlight }) {
      // What asks for this list is in flight itself.
      const others = op.startsWith(OWN) ? 0 : inFlight;
      busy.hidden = !others;
      say(busy, `${countOf(others)} in flight`);
      const shared = responders > 1 ? `${countOf(responders)} responders · ` : '';
      say(facts, shared + plural(calls, 'call'));
    },
  };
}

/** @returns {HTMLElement} the sessions */
function here() {
  const list = element('ul', { class: 'list sessions', 'aria-label': 'Sessions' });
  const count = element('span', { class: 'count' });
  const more = element('p', { class: 'hint', hidden: true }, 'There are more; these are the first.');
  const show = rows(list, ({ id }) => id, sessionRow);
  const update = () => {
    const now = directory.get();
    if (!now) return;
    show(now.sessions);
    say(count, countOf(now.stats.sessions ?? now.sessions.length));
    more.hidden = !now.more.sessions;
  };
  directory.watch(update);
  me.watch(update);
  return panel('Here', { aside: count }, list, more);
}

/**
 * @param {Session} session
 * @returns {import('../lib/rows.js').Row<Session>}
 */
function sessionRow({ id, door, account, address, client, since_unix_ms: since }) {
  const mine = element('span', { class: 'tag mine' }, 'this tab');
  const facts = element('span', { class: 'facts' });
  const age = element('span', { class: 'age' });
  const node = element(
    'li',
    {},
    element('span', { class: 'door', data: { door } }, door),
    element('span', { class: 'name' }, client ?? account, element('span', { class: 'muted' }, ` #${id}`)),
    mine,
    age,
    element('span', { class: 'facts' }, element('span', { class: 'mono' }, address), facts),
  );
  return {
    node,
    update({ serves, subscriptions }) {
      mine.hidden = !me.get().some(({ session }) => session === id);
      say(age, ageOf(Date.now() - since));
      const does = [serves && `serves ${countOf(serves)}`, subscriptions && plural(subscriptions, 'subscription')];
      say(facts, does.filter(Boolean).map((text) => ` · ${text}`).join(''));
    },
  };
}
