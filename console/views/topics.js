/**
 * Watch topics, and publish.
 * @module
 */

import { AS_TYPED, field } from '../components/field.js';
import { messageLog } from '../components/message_log.js';
import { panel } from '../components/panel.js';
import { publishForm } from '../components/publish_form.js';
import { element, icon, say } from '../lib/element.js';
import { covers, faultOf } from '../lib/filter.js';
import { watcher } from '../lib/hub.js';
import { rows } from '../lib/rows.js';
import { Value } from '../lib/value.js';

/** @returns {import('../main.js').View} */
export function topicsView() {
  /** How many came while nobody looked. */
  const unseen = new Value(0);
  let looking = false;
  const log = messageLog(() => {
    if (!looking) unseen.set(unseen.get() + 1);
  });
  const form = watchForm(log);
  return {
    title: 'Topics',
    node: element(
      'div',
      { class: 'view topics' },
      element('h1', { tabindex: '-1' }, 'Topics'),
      element('p', { class: 'lead' }, 'See what is published, and publish.'),
      element('div', { class: 'columns wide-first' }, panel('Watch', { class: 'watch' }, form.node, log.node), panel('Publish', {}, publishForm())),
    ),
    unseen,
    shown(filter) {
      looking = true;
      unseen.set(0);
      if (filter) void form.watch(filter);
    },
    left: () => (looking = false),
  };
}

/** @param {import('../components/message_log.js').MessageLog} log */
function watchForm(log) {
  const input = element('input', { ...AS_TYPED, class: 'mono', name: 'filter', placeholder: 'home/#', maxlength: '4095' });
  const fault = element('p', { class: 'fault', role: 'alert' });
  const chips = element('ul', { class: 'chips', 'aria-label': 'Watched filters' });
  const node = element(
    'form',
    { class: 'form', 'aria-label': 'Watch topics' },
    element('div', { class: 'row' }, field('Topic or filter', input, { class: 'grow' }), element('button', { type: 'submit', class: 'primary' }, 'Watch')),
    fault,
    chips,
  );
  /** @type {string[]} */
  let filters = [];
  /** One that the hub has not granted yet. */
  let asked = '';

  const showChips = rows(chips, (/** @type {string} */ filter) => filter, chip);
  const show = () => {
    showChips(filters);
    log.watches(filters.length > 0);
  };

  /**
   * @param {string} filter
   * @returns {import('../lib/rows.js').Row<string>}
   */
  function chip(filter) {
    const button = element('button', { type: 'button', class: 'quiet round', 'aria-label': `Watch ${filter} no more` }, icon('close'));
    button.addEventListener('click', () => {
      filters = filters.filter((other) => other !== filter);
      show();
      input.focus();
      watcher(log.add).unsubscribe(filter).catch(refused);
    });
    const node = element('li', { class: 'chip' }, element('span', { class: 'mono' }, filter), button);
    return { node, update: () => node.setAttribute('aria-busy', String(filter === asked)) };
  }

  /** @param {Error} error */
  const refused = (error) => say(fault, error.message);

  /** @param {string} filter */
  const watch = async (filter) => {
    const wrong = faultOf(filter);
    const covering = filters.find((other) => covers(other, filter));
    say(fault, wrong || (covering ? (covering === filter ? 'It is watched already.' : `${covering} brings that already.`) : ''));
    if (wrong || covering) return;
    const hub = watcher(log.add);
    // Each subscription brings a copy of its own.
    const covered = filters.filter((other) => covers(filter, other));
    filters = [...filters.filter((other) => !covered.includes(other)), filter];
    asked = filter;
    input.value = '';
    show();
    try {
      // Whoever publishes must not wait for this page.
      await hub.subscribe(filter, null, { policy: 'drop-oldest' });
      if (covered.length) await hub.unsubscribe(covered);
    } catch (error) {
      refused(/** @type {Error} */ (error));
      filters = filters.filter((other) => other !== filter);
    }
    if (asked === filter) asked = '';
    show();
  };

  node.addEventListener('submit', (event) => {
    event.preventDefault();
    void watch(input.value.trim());
  });
  return { node, watch };
}
