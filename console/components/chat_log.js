/**
 * What was said, the newest at the bottom. It stays there, unless somebody reads further up.
 * @module
 */

import { isMe } from '../lib/chat_room.js';
import { element, icon, say } from '../lib/element.js';
import { clockOf } from '../lib/format.js';
import { rows } from '../lib/rows.js';
import { nothing } from './panel.js';
import { avatar } from './people.js';

/** @typedef {import('../lib/chat_room.js').Message} Message */
/** @typedef {Message & { follows: boolean }} Shown `follows`: said by the same as the one before, shortly after it */

/** What one says within so many milliseconds stands together. */
const TOGETHER_MS = 3 * 60_000;

/** Pixels from the bottom that still are the bottom. */
const BOTTOM_PX = 24;

export function chatLog() {
  const list = element('ol');
  const box = element('div', { class: 'said', role: 'log', 'aria-label': 'Messages', tabindex: '0' }, list);
  const empty = nothing('Nobody has said anything yet', element('p', {}, 'Open this page in a second tab, and talk to yourself.'));
  const down = element('button', { type: 'button', class: 'round down', 'aria-label': 'To the newest', title: 'To the newest', hidden: true }, icon('down'));
  const show = rows(list, ({ id }) => id, messageRow);
  const isDown = () => box.scrollHeight - box.scrollTop - box.clientHeight < BOTTOM_PX;
  let stays = true;

  const goDown = () => (box.scrollTop = box.scrollHeight);
  box.addEventListener('scroll', () => {
    stays = isDown();
    if (stays) down.hidden = true;
  });
  down.addEventListener('click', goDown);
  return {
    node: element('div', { class: 'said-box' }, empty, box, down),
    /** @param {Message[]} messages */
    show(messages) {
      show(messages.map((message, place) => ({ ...message, follows: follows(message, messages[place - 1]) })));
      empty.hidden = messages.length > 0;
      if (stays) goDown();
      else down.hidden = false;
    },
    /** It can be seen again. */
    shown() {
      if (stays) goDown();
    },
  };
}

/** @param {Message} message @param {Message | undefined} before */
const follows = ({ tab, from, at }, before) =>
  before?.tab === tab && before.from === from && at - before.at < TOGETHER_MS;

/**
 * @param {Shown} message
 * @returns {import('../lib/rows.js').Row<Shown>}
 */
function messageRow(message) {
  const { from, text, at } = message;
  const time = element('time', { datetime: new Date(at).toISOString() });
  say(time, clockOf(at));
  const who = element('span', { class: 'who' }, from);
  const node = element(
    'li',
    { data: { mine: isMe(message) ? 'yes' : undefined } },
    avatar(from),
    element('div', { class: 'words' }, element('p', { class: 'by' }, who, ' ', time), element('p', { class: 'text' }, text)),
  );
  return { node, update: ({ follows }) => node.classList.toggle('follows', follows) };
}
