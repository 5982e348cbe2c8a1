/**
 * How the connection is.
 * @module
 */

import { element, say } from '../lib/element.js';
import { state } from '../lib/hub.js';

/** @type {Record<import('../lib/hub.js').State, [words: string, mood: 'good' | 'busy' | 'bad']>} */
const WORDS = {
  new: ['Connecting…', 'busy'],
  connecting: ['Connecting…', 'busy'],
  open: ['Connected', 'good'],
  waiting: ['Reconnecting…', 'bad'],
  ending: ['Closing…', 'busy'],
  closed: ['Disconnected', 'bad'],
};

/** @returns {HTMLElement} a light with a word to it */
export function connectionLight() {
  const words = element('span', { class: 'words' });
  const light = element('p', { class: 'light', role: 'status' }, element('span', { class: 'dot', 'aria-hidden': 'true' }), words);
  let lost = false;
  state.watch((now) => {
    let [text, mood] = WORDS[now];
    // Between two tries nothing has changed for who waits.
    if (now === 'connecting' && lost) [text, mood] = WORDS.waiting;
    if (now === 'waiting') lost = true;
    if (now === 'open') lost = false;
    light.dataset.mood = mood;
    light.title = text;
    say(words, text);
  });
  return light;
}

/** @returns {HTMLElement} seen while the connection is lost */
export function lostBanner() {
  const banner = element(
    'div',
    { class: 'banner', hidden: true },
    element('strong', {}, 'The hub is out of reach.'),
    ' It is tried again by itself; what is shown is from before.',
  );
  state.watch((now) => {
    if (now === 'waiting' || now === 'closed') banner.hidden = false;
    if (now === 'open') banner.hidden = true;
  });
  return banner;
}
