/**
 * A payload as one can read it: JSON laid out, text as it is, bytes as a dump.
 * @module
 */

import { element } from '../lib/element.js';
import { plural, sizeOf } from '../lib/format.js';
import { contentOf, dump, layOut } from '../lib/payload.js';
import { copyButton } from './copy_button.js';

/** @typedef {import('../lib/payload.js').TokenKind} TokenKind */

/** Characters that are shown at most. */
const CHARS_MAX = 64 << 10;

/** Bytes that are shown at most of what is no text. */
const DUMP_BYTES_MAX = 2 << 10;

/**
 * @param {Uint8Array} bytes
 * @returns {HTMLElement}
 */
export function payloadView(bytes) {
  const { kind, text } = contentOf(bytes);
  if (kind === 'empty') return element('p', { class: 'payload none' }, 'Empty');
  const shown = kind === 'binary' ? dump(bytes.subarray(0, DUMP_BYTES_MAX)) : text.slice(0, CHARS_MAX);
  const hidden = kind === 'binary' ? bytes.length - DUMP_BYTES_MAX : text.length - CHARS_MAX;
  const unit = kind === 'binary' ? 'byte' : 'character';
  const tokens = kind === 'json' ? layOut(text) : null;
  return element(
    'div',
    { class: 'payload', data: { kind } },
    element('p', { class: 'payload-kind' }, `${NAMES[kind]} · ${sizeOf(bytes.length)}`),
    copyButton(() => (tokens ? tokens.map((token) => token.text).join('') : kind === 'binary' ? shown : text)),
    // What is longer than its box is scrolled, by the keyboard too.
    element('pre', { tabindex: '0', 'aria-label': 'Payload', role: 'group' }, tokens ? tokens.map(tokenNode) : shown),
    hidden > 0 && element('p', { class: 'payload-more' }, `${plural(hidden, unit)} more`),
  );
}

const NAMES = { json: 'JSON', text: 'Text', binary: 'Binary' };

/** @param {{ kind: TokenKind, text: string }} token */
const tokenNode = ({ kind, text }) => (kind === 'mark' ? text : element('span', { class: `json-${kind}` }, text));
