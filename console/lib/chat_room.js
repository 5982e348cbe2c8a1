/**
 * A chat room: nothing but a topic that tabs publish to, and what they tell each other beside.
 *
 * - `chat/ROOM`: what is said, `{"id","from","text"}`; what others publish there is shown too, JSON or not.
 * - `chat/ROOM/here/TAB`: who is here, retained while it is true, `{"name"}`.
 * - the operation `chat.ROOM.history`: each tab serves it, and a new one asks whoever answers.
 * @module
 */

import { sock } from './hub.js';
import { Value } from './value.js';

/** @typedef {import('./hub.js').Published} Published */

/**
 * @typedef {{ id: string, tab: string, from: string, text: string, at: number }} Message `tab` is empty if it was no
 *   console that said it
 * @typedef {{ tab: string, name: string, until: number }} Person `until`: when it is gone if nothing is heard of it, as
 *   `Date.now()` has it
 */

/** Messages that are kept of a room. */
const MESSAGES_MAX = 200;

/** Characters of a message, a name, a room's name. */
export const TEXT_CHARS_MAX = 4000;
export const NAME_CHARS_MAX = 32;
export const ROOM_CHARS_MAX = 64;

/** People that are listed. */
const PEOPLE_MAX = 500;

/**
 * How often a tab says that it is here, and for how long that counts, in milliseconds: browsers let the timers of
 * hidden tabs run but once a minute.
 */
const HERE_EVERY_MS = 45_000;
const HERE_MS = 150_000;

/** How long somebody may take to tell what was said, in milliseconds. */
const HISTORY_TIMEOUT_MS = 3000;

/** This tab. `crypto.randomUUID` is there only in pages that are loaded safely. */
const TAB = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

let said = 0;

/** @typedef {ReturnType<typeof enter>} ChatRoom */

/**
 * @param {string} room
 * @param {() => string} name under which this tab is here
 */
export function enter(room, name) {
  const topic = `chat/${room}`;
  const op = `chat.${room}.history`;
  /** @type {Value<Message[]>} */
  const messages = new Value(/** @type {Message[]} */ ([]));
  /** @type {Value<Person[]>} */
  const people = new Value(/** @type {Person[]} */ ([]));
  let left = false;

  /** @param {Message[]} more the oldest first @param {boolean} before whether they come before what is there */
  const add = (more, before = false) => {
    const known = new Set(messages.get().map(({ id }) => id));
    const news = more.filter(({ id }) => !known.has(id));
    if (!news.length || left) return;
    const all = before ? [...news, ...messages.get()].sort((one, other) => one.at - other.at) : [...messages.get(), ...news];
    messages.set(all.slice(-MESSAGES_MAX));
  };

  const heard = (/** @type {Published} */ message) => add([messageOf(read(message))]);

  const seen = (/** @type {Published} */ message) => {
    const tab = message.topic.slice(message.topic.lastIndexOf('/') + 1);
    const others = people.get().filter((person) => person.tab !== tab && person.until > Date.now());
    const value = read(message);
    const found = message.bytes.length ? [{ tab, name: nameOf(value?.name), until: Date.now() + HERE_MS }] : [];
    people.set([...others, ...found].slice(0, PEOPLE_MAX));
  };

  /** @param {boolean} is */
  const here = (is) => {
    const options = { retain: true, expires: HERE_MS / 1000 };
    // Not being able to say so is no harm: it is said again.
    return sock.hub.publish(`${topic}/here/${TAB}`, is ? { name: name() } : '', options).catch(() => {});
  };

  /** Asks another what was said while this tab was not here, then tells it to others. */
  const catchUp = async () => {
    try {
      await sock.hub.unserve(op);
      const told = await sock.request(op, null, { retries: 0, timeout: HISTORY_TIMEOUT_MS });
      if (Array.isArray(told)) add(told.slice(-MESSAGES_MAX).map(messageOf), true);
    } catch {
      // Nobody else is here.
    }
    if (!left) await sock.hub.serve({ [op]: () => messages.get() }).catch(() => {});
  };

  const begin = () => {
    void here(true);
    void catchUp();
  };
  const timer = setInterval(here, HERE_EVERY_MS, true);
  const gone = () => void here(false);
  addEventListener('pagehide', gone);
  addEventListener('pageshow', comeBack);
  function comeBack(/** @type {PageTransitionEvent} */ event) {
    if (event.persisted) void here(true);
  }

  const joined = (async () => {
    // Whoever speaks must not wait for this page.
    await sock.hub.subscribe(topic, heard, { policy: 'drop-oldest' });
    await sock.hub.subscribe(`${topic}/here/+`, seen, { policy: 'drop-oldest' });
    if (left) return;
    begin();
    // Again when the connection has come back: what was said meanwhile is with the others.
    sock.on('open', begin);
  })();

  return {
    room,
    messages,
    people,
    joined,
    /** The name is another. */
    renamed: () => here(true),
    /**
     * @param {string} text
     * @returns {Promise<unknown>} when the hub has it
     */
    say(text) {
      const id = `${TAB}-${++said}`;
      return sock.hub.publish(topic, { id, from: name(), text: text.slice(0, TEXT_CHARS_MAX) });
    },
    leave() {
      left = true;
      clearInterval(timer);
      sock.removeListener('open', begin);
      removeEventListener('pagehide', gone);
      removeEventListener('pageshow', comeBack);
      void here(false);
      void sock.hub.unserve(op).catch(() => {});
      void sock.hub.unsubscribe([topic, `${topic}/here/+`]).catch(() => {});
    },
  };
}

/** @param {{ tab: string }} who */
export const isMe = ({ tab }) => tab === TAB;

/**
 * @param {string} name as somebody typed it
 * @returns {string} of a room: one level of a topic
 */
export const roomOf = (name) => name.replace(/[/+#\p{Cc}]/gu, '').trim().slice(0, ROOM_CHARS_MAX) || 'lobby';

/**
 * @param {Published} message
 * @returns {any} what it says, as JSON or as text
 */
function read(message) {
  try {
    return message.json();
  } catch {
    return message.text();
  }
}

/**
 * @param {any} value of whatever kind: it comes from others
 * @returns {Message}
 */
function messageOf(value) {
  const { id, from, text, at } = typeof value === 'object' && value !== null ? value : { text: value };
  const known = typeof id === 'string' && id.length <= 64;
  return {
    id: known ? id : `other-${++said}`,
    tab: known ? id.slice(0, id.lastIndexOf('-')) : '',
    from: nameOf(from),
    text: (typeof text === 'string' ? text : JSON.stringify(value) ?? '').slice(0, TEXT_CHARS_MAX),
    at: typeof at === 'number' && at > 0 && at <= Date.now() ? at : Date.now(),
  };
}

/** @param {unknown} name */
const nameOf = (name) => (typeof name === 'string' && name.trim().slice(0, NAME_CHARS_MAX)) || 'somebody';
