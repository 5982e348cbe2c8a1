/**
 * What was published, the newest on top: bounded, so that it may be left open for days.
 * @module
 */

import { element, fill, icon, say } from '../lib/element.js';
import { countOf, exactClockOf, plural, sizeOf } from '../lib/format.js';
import { contentOf, previewOf } from '../lib/payload.js';
import { nothing } from './panel.js';
import { payloadView } from './payload_view.js';

/** @typedef {{ topic: string, bytes: Uint8Array, at: number }} Message */
/** @typedef {ReturnType<typeof messageLog>} MessageLog */

/** Messages that are kept. */
const MESSAGES_MAX = 300;

/** Bytes of a message that are kept; what is longer is cut. */
const BYTES_MAX = 64 << 10;

/** What comes within so many milliseconds is drawn together: a topic may bring more than a page can draw. */
const DRAW_MS = 60;

/** Characters of a message that are shown without opening it. */
const PREVIEW_CHARS = 160;

/**
 * @param {() => void} came told of each message
 */
export function messageLog(came) {
  const list = element('ul', { class: 'messages', 'aria-label': 'Messages' });
  const count = element('p', { class: 'hint count-line' });
  const pause = element('button', { type: 'button', class: 'quiet', 'aria-pressed': 'false' });
  const clear = element('button', { type: 'button', class: 'quiet' }, icon('clear'), 'Clear');
  const empty = nothing('Nothing is watched yet', element('p', {}, '+ stands for one level, # for the rest: home/+/lamp, home/#.'));
  const head = element('div', { class: 'log-head', hidden: true }, count, pause, clear);
  const node = element('div', { class: 'log' }, head, empty, list);

  /** What is not shown yet, the newest last. @type {Message[]} */
  let waiting = [];
  let paused = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let drawing;
  let total = 0;

  const draw = () => {
    drawing = undefined;
    if (!paused) {
      list.prepend(...waiting.reverse().map(messageRow));
      waiting = [];
      while (list.childElementCount > MESSAGES_MAX) list.lastElementChild?.remove();
    }
    const missed = paused ? waiting.length : 0;
    const kept = total > MESSAGES_MAX ? `, the last ${countOf(MESSAGES_MAX)} shown` : '';
    say(count, total ? plural(total, 'message') + (missed ? `, ${countOf(missed)}${missed >= MESSAGES_MAX ? ' or more' : ''} while paused` : kept) : 'Waiting for messages…');
    empty.hidden = !head.hidden || total > 0;
  };
  const soon = () => (drawing ||= setTimeout(draw, DRAW_MS));

  const showPause = () => {
    pause.setAttribute('aria-pressed', String(paused));
    fill(pause, icon(paused ? 'resume' : 'pause'), paused ? 'Resume' : 'Pause');
  };
  pause.addEventListener('click', () => {
    paused = !paused;
    showPause();
    soon();
  });
  clear.addEventListener('click', () => {
    waiting = [];
    total = 0;
    fill(list);
    soon();
  });
  showPause();

  return {
    node,
    /** @param {boolean} some whether anything is watched */
    watches(some) {
      head.hidden = !some && !total;
      soon();
    },
    /** @param {string} topic @param {Uint8Array} bytes */
    add(topic, bytes) {
      total++;
      waiting.push({ topic, bytes, at: Date.now() });
      // A page that is not seen is not drawn, and must not gather for ever.
      if (waiting.length > MESSAGES_MAX) waiting.shift();
      came();
      soon();
    },
  };
}

/**
 * @param {Message} message
 * @returns {HTMLElement}
 */
function messageRow({ topic, bytes, at }) {
  const { kind } = contentOf(bytes);
  const kept = bytes.length > BYTES_MAX ? bytes.slice(0, BYTES_MAX) : bytes;
  const details = element(
    'details',
    {},
    element(
      'summary',
      {},
      element('time', { datetime: new Date(at).toISOString() }, exactClockOf(at)),
      element('span', { class: 'mono topic' }, topic),
      element('span', { class: 'mono preview', data: { kind } }, kind === 'empty' ? 'empty' : previewOf(kept, PREVIEW_CHARS)),
      element('span', { class: 'facts' }, kind === 'binary' ? `binary · ${sizeOf(bytes.length)}` : sizeOf(bytes.length)),
    ),
  );
  // Most are never opened.
  details.addEventListener('toggle', () => details.append(payloadView(kept)), { once: true });
  return element('li', {}, details);
}
