/**
 * Lists that change without being made anew: what has the focus, or is selected, stays.
 * @module
 */

/**
 * @template T
 * @typedef {object} Row
 * @property {HTMLElement} node
 * @property {(item: T) => void} update
 */

/**
 * @template T
 * @param {HTMLElement} parent whose only children are the rows
 * @param {(item: T) => string | number} keyOf
 * @param {(item: T) => Row<T>} create it is updated at once
 * @returns {(items: T[]) => void} shows these
 */
export function rows(parent, keyOf, create) {
  /** @type {Map<string | number, Row<T>>} */
  let shown = new Map();
  return (items) => {
    /** @type {typeof shown} */
    const next = new Map();
    let place = parent.firstElementChild;
    for (const item of items) {
      const key = keyOf(item);
      if (next.has(key)) continue;
      const row = shown.get(key) ?? create(item);
      row.update(item);
      next.set(key, row);
      shown.delete(key);
      if (row.node === place) place = place.nextElementSibling;
      else parent.insertBefore(row.node, place);
    }
    for (const { node } of shown.values()) node.remove();
    shown = next;
  };
}
