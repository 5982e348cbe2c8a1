/**
 * What a payload is, as far as its bytes tell.
 * @module
 */

/**
 * @typedef {{ kind: 'empty' | 'json' | 'text' | 'binary', text: string }} Content `text` is empty if it is binary
 */

/** Longer JSON is text: laying it out takes too long. */
const JSON_CHARS_MAX = 64 << 10;

/** Bytes of a line of {@link dump}. */
const DUMP_LINE_BYTES = 16;

/** Control characters that no text has: all but tab, line feed, form feed, carriage return and escape. */
const CONTROLS = /[\u0000-\u0008\u000b\u000e-\u001a\u001c-\u001f\u007f]/;

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * @param {Uint8Array} bytes
 * @returns {Content}
 */
export function contentOf(bytes) {
  if (!bytes.length) return { kind: 'empty', text: '' };
  let text;
  try {
    text = strict.decode(bytes);
  } catch {
    return { kind: 'binary', text: '' };
  }
  if (CONTROLS.test(text)) return { kind: 'binary', text: '' };
  return { kind: isJson(text) ? 'json' : 'text', text };
}

/** @param {string} text */
export function isJson(text) {
  if (text.length > JSON_CHARS_MAX) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * @typedef {'key' | 'string' | 'number' | 'word' | 'mark'} TokenKind
 * @typedef {{ kind: TokenKind, text: string }} Token
 */

/** A string; or what is neither white space nor a mark; or a mark. */
const JSON_TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|([^\s{}[\],:"]+)|([{}[\],])/g;

/**
 * JSON laid out on lines. It is read from the text, not from what it stands for: large numbers keep all their digits,
 * and keys their order.
 * @param {string} json must be right
 * @returns {Token[]}
 */
export function layOut(json) {
  /** @type {Token[]} */
  const tokens = [];
  let depth = 0;
  /** Whether a bracket has just opened: nothing gets a line if nothing comes. */
  let opened = false;
  const add = (/** @type {TokenKind} */ kind, /** @type {string} */ text) => tokens.push({ kind, text });
  const line = () => add('mark', `\n${'  '.repeat(depth)}`);
  for (const [, string, colon, word, sign = ''] of json.matchAll(JSON_TOKENS)) {
    const closes = sign === '}' || sign === ']';
    if (closes) depth--;
    if (closes !== opened) line();
    opened = sign === '{' || sign === '[';
    if (opened) depth++;
    if (string !== undefined) add(colon ? 'key' : 'string', string);
    else if (word !== undefined) add(/^[-\d]/.test(word) ? 'number' : 'word', word);
    else add('mark', sign);
    if (colon) add('mark', ': ');
    if (sign === ',') line();
  }
  return tokens;
}

/**
 * Bytes as programmers read them: an offset, hexadecimal, and what is printable.
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function dump(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += DUMP_LINE_BYTES) {
    const part = [...bytes.subarray(at, at + DUMP_LINE_BYTES)];
    const hex = part.map(hexOf).join(' ').padEnd(3 * DUMP_LINE_BYTES - 1);
    const text = part.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex}  ${text}`);
  }
  return lines.join('\n');
}

/**
 * The beginning of a payload, on one line.
 * @param {Uint8Array} bytes
 * @param {number} charsMax
 */
export function previewOf(bytes, charsMax) {
  const { kind, text } = contentOf(bytes);
  const whole = kind === 'binary' ? [...bytes.subarray(0, charsMax)].map(hexOf).join(' ') : text.trim();
  const line = whole.slice(0, charsMax + 1).replace(/\s+/g, ' ');
  return line.length > charsMax ? `${line.slice(0, charsMax)}…` : line;
}

/** @param {number} byte */
const hexOf = (byte) => byte.toString(16).padStart(2, '0');
