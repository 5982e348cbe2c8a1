/**
 * Call an operation, and see what comes back.
 * @module
 */

import { answerPanel } from '../components/answer.js';
import { AS_TYPED, field } from '../components/field.js';
import { panel } from '../components/panel.js';
import { call } from '../lib/calling.js';
import { directory, leave, look } from '../lib/directory.js';
import { element, fill, say } from '../lib/element.js';
import { sizeOf } from '../lib/format.js';
import { isJson, layOut } from '../lib/payload.js';
import { rename } from '../lib/route.js';

/** @typedef {{ op: string, body: string, node: HTMLElement }} Recent */

/** Calls that can be made again with one click. */
const RECENT_MAX = 6;

/** Names that are offered while one types. */
const OFFERED_MAX = 500;

const encoder = new TextEncoder();

/** @returns {import('../main.js').View} */
export function callView() {
  const form = callForm();
  const answer = answerPanel();
  const recent = recentCalls(({ op, body }) => form.set(op, body));
  /** @type {import('../lib/calling.js').Calling | null} */
  let calling = null;

  form.node.addEventListener('submit', (event) => {
    event.preventDefault();
    if (calling) return;
    const { op, body, timeoutMs } = form.get();
    if (!op) return form.focus();
    rename('call', op);
    const told = answer.begin(op, () => calling?.now());
    form.busy(true);
    // Where the one is below the other.
    answer.node.scrollIntoView({ block: 'nearest' });
    calling = call(op, body, timeoutMs, {
      ...told,
      ends(end) {
        calling = null;
        form.busy(false);
        const outcome = told.ends(end);
        answer.node.scrollIntoView({ block: 'nearest' });
        recent.add(op, body, outcome);
      },
    });
  });
  form.node.addEventListener('reset', () => calling?.cancel());

  return {
    title: 'Call',
    node: element(
      'div',
      { class: 'view call' },
      element('h1', { tabindex: '-1' }, 'Call'),
      element('p', { class: 'lead' }, 'Ask for something that is served, and see what comes back.'),
      element('div', { class: 'columns' }, element('div', {}, panel('Request', {}, form.node), recent.node), answer.node),
    ),
    shown(op) {
      look();
      if (op && op !== form.get().op) form.set(op);
    },
    left: leave,
  };
}

function callForm() {
  const offered = element('datalist', { id: 'operations' });
  const op = element('input', { ...AS_TYPED, class: 'mono', name: 'op', list: 'operations', required: true, placeholder: 'greet', maxlength: '4095' });
  const body = element('textarea', { ...AS_TYPED, class: 'mono', name: 'payload', rows: '6', placeholder: '{"name":"Ann"}' });
  const timeout = element('input', { type: 'number', name: 'timeout', min: '0.1', step: 'any', inputmode: 'decimal', placeholder: 'as the hub has it' });
  const kind = element('span', {}, 'Empty');
  const tidy = element('button', { type: 'button', class: 'link', hidden: true }, 'Lay out');
  const submit = element('button', { type: 'submit', class: 'primary' }, 'Call');
  const cancel = element('button', { type: 'reset', hidden: true }, 'Cancel');
  const node = element(
    'form',
    { class: 'form', 'aria-label': 'Call an operation' },
    field('Operation', op),
    offered,
    field('Payload', body, { hint: element('span', { class: 'split' }, kind, tidy) }),
    field('Give up after, in seconds', timeout, { class: 'narrow' }),
    element('div', { class: 'actions' }, submit, cancel, element('span', { class: 'hint keys' }, 'Ctrl + Enter calls')),
  );

  const judge = () => {
    const text = body.value;
    const json = isJson(text);
    say(kind, text ? `${json ? 'JSON' : 'Text'} · ${sizeOf(encoder.encode(text).length)}` : 'Empty');
    tidy.hidden = !json || text === laidOut(text);
  };
  body.addEventListener('input', judge);
  tidy.addEventListener('click', () => {
    body.value = laidOut(body.value);
    judge();
    body.focus();
  });
  node.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) node.requestSubmit();
  });
  // The button for cancelling is one for resetting, which no key sets off by chance; nothing is to be reset.
  node.addEventListener('reset', (event) => event.preventDefault());
  offer(offered);

  return {
    node,
    get: () => ({ op: op.value.trim(), body: body.value, timeoutMs: timeout.valueAsNumber * 1000 || 0 }),
    /** @param {string} name @param {string} [text] */
    set(name, text) {
      op.value = name;
      if (text !== undefined) body.value = text;
      judge();
    },
    /** @param {boolean} is */
    busy(is) {
      submit.disabled = is;
      cancel.hidden = !is;
      if (!is && document.activeElement === document.body) submit.focus();
    },
    focus: () => op.focus(),
  };
}

/** @param {string} json */
const laidOut = (json) => layOut(json).map(({ text }) => text).join('');

/** @param {HTMLDataListElement} list keeps offering what is served */
function offer(list) {
  let offered = '';
  directory.watch((now) => {
    const names = now?.operations.slice(0, OFFERED_MAX).map(({ op }) => op) ?? [];
    // A list that is open would close.
    if (names.join('\n') === offered) return;
    offered = names.join('\n');
    fill(list, names.map((op) => element('option', { value: op })));
  });
}

/** @param {(recent: Recent) => void} chosen */
function recentCalls(chosen) {
  const list = element('ul', { class: 'recent', 'aria-label': 'Recent calls' });
  const node = panel('Recent', { class: 'again' }, list);
  node.hidden = true;
  /** @type {Recent[]} */
  let all = [];
  return {
    node,
    /** @param {string} op @param {string} body @param {import('../components/answer.js').Outcome} outcome */
    add(op, body, { mood, words }) {
      const button = element(
        'button',
        { type: 'button', class: 'quiet' },
        element('span', { class: 'dot', data: { mood }, 'aria-hidden': 'true' }),
        element('span', { class: 'mono name' }, op),
        element('span', { class: 'facts' }, words),
      );
      const recent = { op, body, node: element('li', {}, button) };
      button.addEventListener('click', () => chosen(recent));
      all = [recent, ...all.filter((other) => other.op !== op || other.body !== body)].slice(0, RECENT_MAX);
      fill(list, all.map(({ node }) => node));
      node.hidden = false;
    },
  };
}
