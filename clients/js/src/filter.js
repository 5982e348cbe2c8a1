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
  if (filter === topic) return true;
  // Topics that begin with `$` are asked for by name.
  if (topic[0] == '$' && /^[+#]/.test(filter)) return false;
  const pattern = filter.split('/');
  const levels = topic.split('/');
  const rest = pattern.at(-1) == '#';
  if (rest) pattern.pop();
  return (
    (rest ? pattern.length <= levels.length : pattern.length === levels.length) &&
    pattern.every((wanted, index) => wanted == '+' || wanted === levels[index])
  );
};
