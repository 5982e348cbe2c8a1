/**
 * Filters of topics, as the hub reads them.
 * @module
 */

/**
 * @param {string} filter a topic; or a pattern, in which `+` stands for any one level, and `#` at the end for the level
 *   before it and all that follow
 * @param {string} topic
 * @returns {boolean}
 */
export const matches = (filter, topic) => {
  const pattern = filter.split('/');
  const levels = topic.split('/');
  const missing = pattern.length - levels.length;
  return (
    // Topics that begin with `$` are asked for by name.
    !(topic[0] == '$' && /^[+#]/.test(filter)) &&
    (!missing || (missing < 2 && pattern.at(-1) == '#')) &&
    pattern.every((wanted, index) => wanted == '+' || wanted == '#' || wanted == levels[index])
  );
};
