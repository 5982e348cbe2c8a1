/**
 * What comes back from a call: while it comes, and when it is over.
 * @module
 */

import { TRIES_MAX } from '../lib/calling.js';
import { element, fill, say } from '../lib/element.js';
import { countOf, durationOf, plural, sizeOf } from '../lib/format.js';
import { previewOf } from '../lib/payload.js';
import { nothing, panel } from './panel.js';
import { payloadView } from './payload_view.js';

/** Parts of a stream that are listed; of longer ones the last. */
const PARTS_MAX = 200;

/** Characters of a part that are shown. */
const PART_CHARS_MAX = 2000;

/** Pixels from the bottom that still are the bottom. */
const BOTTOM_PX = 8;

/** How often the clock of a call that is under way is drawn, in milliseconds. */
const TICK_MS = 100;

/** @typedef {{ mood: 'good' | 'wait' | 'bad', words: string }} Outcome in a word or two */

export function answerPanel() {
  const status = element('p', { class: 'status', role: 'status' });
  const clock = element('span', { class: 'clock', 'aria-hidden': 'true' });
  const again = element('button', { type: 'button', hidden: true }, 'Try now');
  const content = element('div', { class: 'answer' });
  const head = element('div', { class: 'status-line', hidden: true }, status, clock, again);
  fill(content, nothing('No call yet', element('p', {}, 'What is answered appears here.')));
  let finish = () => {};

  /**
   * A call begins.
   * @param {string} op
   * @param {() => void} now told that somebody does not want to wait
   */
  const begin = (op, now) => {
    finish();
    const meter = measure(clock);
    const shown = shownParts(content);
    finish = meter.stop;
    head.hidden = false;
    again.onclick = now;
    /** @param {string} mood @param {string} text */
    const tell = (mood, text) => {
      head.dataset.mood = mood;
      say(status, text);
    };
    return {
      tries() {
        again.hidden = true;
        meter.run();
        tell('busy', `Calling ${op}…`);
      },
      /** @param {Uint8Array} part */
      part(part) {
        shown.add(part);
        if (shown.count > 1) tell('busy', 'Streaming…');
      },
      /** @param {number} waitMs @param {string} message @param {number} tries */
      waits(waitMs, message, tries) {
        again.hidden = false;
        tell('wait', `Asked to retry${message && `: ${message}`}. Waiting ${durationOf(waitMs)} before try ${tries + 1} of ${TRIES_MAX}.`);
        meter.countDown(waitMs);
      },
      /** @param {import('../lib/calling.js').End} end @returns {Outcome} */
      ends({ kind, message, tries }) {
        const took = durationOf(meter.stop());
        const size = `${shown.count > 1 ? `${plural(shown.count, 'part')} · ` : ''}${sizeOf(shown.bytes)}`;
        again.hidden = true;
        const after = tries > 1 ? ` · ${plural(tries, 'try', 'tries')}` : '';
        shown.end(kind === 'answered');
        if (kind === 'answered') {
          tell('good', `Answered in ${took} · ${size}${after}`);
          return { mood: 'good', words: took };
        }
        const mood = kind === 'cancelled' ? 'wait' : 'bad';
        tell(mood, kind === 'cancelled' ? `Cancelled after ${took}` : `Failed after ${took}${after}: ${message}`);
        return { mood, words: kind };
      },
    };
  };
  return { node: panel('Answer', {}, head, content), begin };
}

/**
 * Time that is drawn while it goes by.
 * @param {HTMLElement} clock
 */
function measure(clock) {
  let began = performance.now();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  const tick = (/** @type {() => number} */ ms) => {
    clearInterval(timer);
    say(clock, durationOf(ms()));
    timer = setInterval(() => say(clock, durationOf(ms())), TICK_MS);
  };
  return {
    run() {
      began = performance.now();
      tick(() => performance.now() - began);
    },
    /** @param {number} ms */
    countDown(ms) {
      const until = performance.now() + ms;
      tick(() => Math.max(until - performance.now(), 0));
    },
    /** @returns {number} milliseconds of the last try */
    stop() {
      clearInterval(timer);
      say(clock, '');
      return performance.now() - began;
    },
  };
}

/**
 * A single answer in full, or the parts of a stream line by line.
 * @param {HTMLElement} content
 */
function shownParts(content) {
  const list = element('ol', { class: 'parts', tabindex: '0', 'aria-label': 'Parts of the answer' });
  const hidden = element('p', { class: 'hint' });
  /** What is not drawn yet: all that comes within a frame is drawn together. @type {HTMLElement[]} */
  let lines = [];
  let drawing = 0;
  /** @type {Uint8Array | undefined} */
  let first;
  fill(content);

  const draw = () => {
    drawing = 0;
    const follows = list.scrollHeight - list.scrollTop - list.clientHeight < BOTTOM_PX;
    list.append(...lines);
    lines = [];
    while (list.childElementCount > PARTS_MAX) list.firstElementChild?.remove();
    if (self.count > PARTS_MAX) say(hidden, `The last ${countOf(PARTS_MAX)} of ${countOf(self.count)} parts.`);
    if (follows) list.scrollTop = list.scrollHeight;
  };
  /** @param {Uint8Array} part @param {number} number */
  const line = (part, number) => {
    const text = element('span', { class: 'mono' }, previewOf(part, PART_CHARS_MAX));
    lines.push(element('li', {}, element('span', { class: 'number' }, countOf(number)), text));
    if (lines.length > PARTS_MAX) lines.shift();
    drawing ||= requestAnimationFrame(draw);
  };
  const self = {
    count: 0,
    bytes: 0,
    /** @param {Uint8Array} part */
    add(part) {
      self.count++;
      self.bytes += part.length;
      if (!first) {
        first = part;
        fill(content, payloadView(part));
        return;
      }
      if (self.count === 2) {
        fill(content, hidden, list);
        line(first, 1);
      }
      line(part, self.count);
    },
    /** @param {boolean} good */
    end(good) {
      if (good && !first) fill(content, payloadView(new Uint8Array(0)));
    },
  };
  return self;
}
