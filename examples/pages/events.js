/** No library: events come by `EventSource`, and what is published goes by `fetch`. */

import { origin } from './hub.js';

/** Older messages go from the page. */
const MESSAGES_MAX = 500;

const ids = ['state', 'publish', 'topic', 'payload', 'messages'];
const [state, publish, topic, payload, messages] = ids.map((id) => document.getElementById(id));

const show = (name, text, className = '') => {
  const line = document.createElement('li');
  const author = document.createElement('b');
  author.textContent = name;
  line.append(author, ' ', text);
  line.className = className;
  messages.prepend(line);
  if (messages.childElementCount > MESSAGES_MAX) messages.lastElementChild.remove();
};

// `#` would end the address, so it is encoded. The browser connects again by itself, and says which event was the last:
// last values that are known are not sent again.
const events = new EventSource(`${origin}/subscribe?topic=${encodeURIComponent('home/#')}`);
events.onopen = () => (state.textContent = 'open');
events.onerror = () => (state.textContent = events.readyState === EventSource.CLOSED ? 'closed' : 'connecting');
events.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  const text = message.payload ?? `${message.payload_base64} (base64)`;
  show(message.topic, message.retained ? `${text} (last value)` : text);
};

publish.addEventListener('submit', async (event) => {
  event.preventDefault();
  try {
    const path = encodeURIComponent(topic.value);
    const answer = await fetch(`${origin}/publish/${path}?retain`, { method: 'POST', body: payload.value });
    if (!answer.ok) throw new Error(await answer.text());
  } catch (error) {
    show('', error.message, 'error');
  }
});
