/** A room is a topic, `chat/ROOM`: who is in it has subscribed to it, and what is said is published there. */

import { library } from './hub.js';

/** What all topics of rooms begin with. */
const PREFIX = 'chat/';

/** Older messages go from the page. */
const MESSAGES_MAX = 500;

const ids = ['state', 'who', 'name', 'room', 'messages', 'say', 'text'];
const [state, who, name, room, messages, say, text] = ids.map((id) => document.getElementById(id));

name.value = `guest ${1 + Math.floor(Math.random() * 999)}`;
room.value = decodeURIComponent(location.hash.slice(1)) || 'lobby';

const show = (from, said, className = '') => {
  const line = document.createElement('li');
  const author = document.createElement('b');
  author.textContent = from;
  line.append(author, ' ', said);
  line.className = className;
  messages.append(line);
  if (messages.childElementCount > MESSAGES_MAX) messages.firstElementChild.remove();
  line.scrollIntoView({ block: 'nearest' });
};

/** Anybody may publish anything there: what is no message is not shown. */
const read = (message) => {
  try {
    const { from, text: said } = message.json();
    if (typeof from == 'string' && typeof said == 'string') show(from.slice(0, 40), said.slice(0, 1000));
  } catch {
    // It was no JSON.
  }
};

const failed = (error) => show('', error.message, 'error');

const connect = async () => {
  const gotalk = await library();
  const sock = gotalk.connection().on('state', (now) => (state.textContent = now));
  let topic;

  const enter = async () => {
    const wanted = PREFIX + room.value;
    if (wanted === topic) return;
    const left = topic;
    topic = wanted;
    location.hash = room.value;
    if (left) await sock.hub.unsubscribe(left);
    // Asked for again by itself whenever the connection comes back.
    await sock.hub.subscribe(wanted, read);
    show('', `you are in ${wanted.slice(PREFIX.length)}`, 'quiet');
  };

  who.addEventListener('submit', (event) => {
    event.preventDefault();
    enter().catch(failed);
  });
  say.addEventListener('submit', (event) => {
    event.preventDefault();
    // It comes back to us too, as we are in the room.
    sock.notify(topic, { from: name.value, text: text.value });
    text.value = '';
  });
  await enter();
};

connect().catch(failed);
