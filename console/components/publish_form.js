/**
 * Publish a message.
 * @module
 */

import { element, say } from '../lib/element.js';
import { plural } from '../lib/format.js';
import { sock } from '../lib/hub.js';
import { AS_TYPED, checkbox, field } from './field.js';

/** @returns {HTMLElement} */
export function publishForm() {
  const topic = element('input', { ...AS_TYPED, class: 'mono', name: 'topic', required: true, placeholder: 'home/lamp', maxlength: '4095' });
  const payload = element('textarea', { ...AS_TYPED, class: 'mono', name: 'message', rows: '3', placeholder: 'on' });
  const expires = element('input', { type: 'number', name: 'expires', min: '1', step: '1', inputmode: 'numeric', placeholder: 'never' });
  const retain = checkbox('Retain as the topic’s last value');
  const submit = element('button', { type: 'submit', class: 'primary' }, 'Publish');
  const outcome = element('p', { class: 'outcome', role: 'status' });
  const node = element(
    'form',
    { class: 'form', 'aria-label': 'Publish a message' },
    field('Topic', topic),
    field('Message', payload),
    retain.node,
    field('Expires after, in seconds', expires, { class: 'narrow' }),
    element('div', { class: 'actions' }, submit, outcome),
  );

  /** @param {boolean} good @param {string} text */
  const tell = (good, text) => {
    outcome.dataset.mood = good ? 'good' : 'bad';
    say(outcome, text);
  };

  node.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      const options = { retain: retain.input.checked, expires: expires.valueAsNumber || undefined };
      const { subscriptions } = await sock.hub.publish(topic.value.trim(), payload.value, options);
      tell(true, subscriptions ? `Sent to ${plural(subscriptions, 'subscription')}.` : 'Taken; nobody is subscribed.');
    } catch (error) {
      tell(false, /** @type {Error} */ (error).message);
    } finally {
      submit.disabled = false;
    }
  });
  node.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) node.requestSubmit();
  });
  return node;
}
