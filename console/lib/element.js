/**
 * Elements from what they are made of. Text goes in as text, always: there is no way to insert HTML.
 * @module
 */

const SVG = 'http://www.w3.org/2000/svg';

/** @typedef {Node | string | number | null | undefined | false} Child nothing is shown for null, undefined and false */

/**
 * `on` are listeners, `data` is the dataset, `vars` are custom properties of CSS (an attribute `style` would be against
 * the page's Content-Security-Policy); the rest are attributes: true sets one, false, null and undefined leave it out.
 * @typedef {Record<string, any> & {
 *   on?: Record<string, (event: any) => void>,
 *   data?: Record<string, string | undefined>,
 *   vars?: Record<string, string>,
 * }} Properties
 */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Properties} [properties]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  const { on = {}, data = {}, vars = {}, ...attributes } = properties;
  for (const [name, listener] of Object.entries(on)) node.addEventListener(name, listener);
  for (const [name, value] of Object.entries(data)) if (value !== undefined) node.dataset[name] = value;
  for (const [name, value] of Object.entries(vars)) node.style.setProperty(`--${name}`, value);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, '');
    else if (value !== false && value != null) node.setAttribute(name, String(value));
  }
  append(node, children);
  return node;
}

/**
 * @param {Element} parent
 * @param {...(Child | Child[])} children instead of what there is
 */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/**
 * Sets the text, but only if it is another: what is selected stays so, and a live region stays silent.
 * @param {Element} node
 * @param {string} text
 */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * @param {Element} parent
 * @param {Array<Child | Child[]>} children
 */
function append(parent, children) {
  for (const child of children.flat()) {
    if (child != null && child !== false) parent.append(child instanceof Node ? child : String(child));
  }
}

/** Drawn on 24 by 24, by lines. */
const ICONS = {
  overview: 'M4 5.5h7v6H4zM14 5.5h6v3.5h-6zM14 12h6v6.5h-6zM4 14.5h7v4H4z',
  call: 'M6 4.5 18.5 12 6 19.5z',
  topics: 'M12 12v.01M8.5 15.5a5 5 0 0 1 0-7M15.5 8.5a5 5 0 0 1 0 7M5.6 18.4a9 9 0 0 1 0-12.8M18.4 5.6a9 9 0 0 1 0 12.8',
  chat: 'M4.5 6.5a2 2 0 0 1 2-2h11a2 2 0 0 1 2 2v7.5a2 2 0 0 1-2 2H11l-4.5 4V16a2 2 0 0 1-2-2z',
  system: 'M4 5h16v11H4zM9 20h6M12 16v4',
  light: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.8v2M12 19.2v2M2.8 12h2M19.2 12h2M5.5 5.5l1.4 1.4M17.1 17.1l1.4 1.4M18.5 5.5l-1.4 1.4M6.9 17.1l-1.4 1.4',
  dark: 'M19.5 14.2A8 8 0 0 1 9.8 4.5a8 8 0 1 0 9.7 9.7z',
  pause: 'M8.5 5.5v13M15.5 5.5v13',
  resume: 'M8 5.5v13l10-6.5z',
  clear: 'M5 7h14M10 4h4M7 7l.8 12.5h8.4L17 7',
  close: 'M6.5 6.5l11 11M17.5 6.5l-11 11',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  done: 'M5 12.5l4.5 4.5L19 7.5',
  send: 'M12 19.5v-14M6 11l6-6 6 6',
  down: 'M12 5v14M6 13l6 6 6-6',
  people: 'M9 11.5a3.25 3.25 0 1 0 0-6.5 3.25 3.25 0 0 0 0 6.5zM3 19a6 6 0 0 1 12 0M15.5 5.4a3.25 3.25 0 0 1 0 5.9M17.5 14.2A6 6 0 0 1 21 19',
};

/** @typedef {keyof typeof ICONS} IconName */

/**
 * @param {IconName} name
 * @returns {SVGElement} of no meaning to those who do not see it: what it is on needs a name of its own
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}
