/**
 * A room in which tabs talk with each other, and with whoever publishes to its topic.
 * @module
 */

import { chatLog } from '../components/chat_log.js';
import { AS_TYPED, field } from '../components/field.js';
import { avatar, peopleList } from '../components/people.js';
import { NAME_CHARS_MAX, ROOM_CHARS_MAX, TEXT_CHARS_MAX, enter, roomOf } from '../lib/chat_room.js';
import { element, fill, icon, say } from '../lib/element.js';
import { plural } from '../lib/format.js';
import { hrefOf } from '../lib/route.js';
import { recall, remember } from '../lib/storage.js';
import { Value } from '../lib/value.js';

const LOBBY = 'lobby';

/** @returns {import('../main.js').View} */
export function chatView() {
  const unseen = new Value(0);
  let looking = false;
  let known = 0;
  let name = recall('name') || `Guest ${Math.floor(100 + Math.random() * 900)}`;
  /** @type {import('../lib/chat_room.js').ChatRoom | null} */
  let room = null;

  const log = chatLog();
  const people = peopleList();
  const compose = composer((text) => room?.say(text) ?? Promise.resolve());
  const nameInput = element('input', { ...AS_TYPED, name: 'name', maxlength: NAME_CHARS_MAX, value: name, required: true });
  const roomInput = element('input', { ...AS_TYPED, name: 'room', maxlength: ROOM_CHARS_MAX, required: true });
  const mark = element('span', { class: 'mark' }, avatar(name));
  const fault = element('p', { class: 'fault', role: 'alert' });

  /** @param {string} wanted */
  const go = (wanted) => {
    if (room?.room === wanted) return;
    room?.leave();
    known = 0;
    const entered = enter(wanted, () => name);
    room = entered;
    roomInput.value = wanted;
    say(fault, '');
    entered.joined.catch((/** @type {Error} */ error) => say(fault, error.message));
    entered.people.watch((all) => room === entered && people.show(all));
    entered.messages.watch((all) => {
      if (room !== entered) return;
      log.show(all);
      // Bounded, so it may stay as long as it is; then more than one come between two looks.
      const news = Math.max(all.length - known, looking ? 0 : 1);
      known = all.length;
      if (!looking && all.length) unseen.set(unseen.get() + news);
    });
  };

  const rename = element('form', { class: 'row' }, mark, field('Your name', nameInput, { class: 'grow' }));
  const rooms = element('form', { class: 'row' }, field('Room', roomInput, { class: 'grow' }), element('button', { type: 'submit' }, 'Enter'));
  nameInput.addEventListener('change', () => {
    name = nameInput.value.trim().slice(0, NAME_CHARS_MAX) || name;
    nameInput.value = name;
    remember('name', name);
    fill(mark, avatar(name));
    void room?.renamed();
  });
  rename.addEventListener('submit', (event) => {
    event.preventDefault();
    compose.focus();
  });
  rooms.addEventListener('submit', (event) => {
    event.preventDefault();
    location.hash = hrefOf('chat', roomOf(roomInput.value));
    compose.focus();
  });

  return {
    title: 'Chat',
    node: element(
      'div',
      { class: 'view chat' },
      element('h1', { tabindex: '-1' }, 'Chat'),
      element('p', { class: 'lead' }, 'A room is a topic: every program can join.'),
      element(
        'div',
        { class: 'chat-columns' },
        element('section', { class: 'panel chat-main', 'aria-label': 'Conversation' }, log.node, fault, compose.node),
        element('section', { class: 'panel chat-side', 'aria-label': 'Room and people' }, rooms, rename, people.node),
      ),
    ),
    unseen,
    shown(wanted) {
      looking = true;
      unseen.set(0);
      go(wanted ? roomOf(wanted) : room?.room ?? LOBBY);
      log.shown();
    },
    left: () => (looking = false),
  };
}

/** @param {(text: string) => Promise<unknown>} send */
function composer(send) {
  const input = element('textarea', { name: 'text', rows: '1', placeholder: 'Say something', 'aria-label': 'Message', maxlength: TEXT_CHARS_MAX });
  const button = element('button', { type: 'submit', class: 'primary round', 'aria-label': 'Send', title: 'Send' }, icon('send'));
  const status = element('p', { class: 'hint', role: 'status' });
  const node = element('form', { class: 'composer', 'aria-label': 'Say something' }, input, button, status);
  let underWay = 0;

  /** @param {number} more */
  const count = (more) => {
    underWay += more;
    if (!underWay) say(status, '');
    // Usually it is over before anybody could read it.
    else setTimeout(() => underWay && say(status, `${plural(underWay, 'message')} on the way`), 500);
  };
  const submit = async () => {
    const text = input.value.trim();
    if (!text) return;
    input.value = '';
    count(1);
    try {
      await send(text);
      count(-1);
    } catch (error) {
      count(-1);
      say(status, `Not sent: ${/** @type {Error} */ (error).message}`);
      if (!input.value) input.value = text;
    }
  };
  node.addEventListener('submit', (event) => {
    event.preventDefault();
    void submit();
  });
  input.addEventListener('keydown', (event) => {
    // While an input method is at work, the key is its own.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void submit();
  });
  return { node, focus: () => input.focus() };
}
