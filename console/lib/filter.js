/**
 * Filters of topics: `+` stands for one level, `#` in the end for the rest.
 * @module
 */

/**
 * @param {string} filter
 * @returns {string} what is wrong with it; empty if nothing is
 */
export function faultOf(filter) {
  const levels = filter.split('/');
  if (!filter) return 'Name a topic, or a filter like home/#.';
  if (levels.slice(0, -1).some((level) => level.includes('#'))) return '# stands for the rest, so it comes last.';
  if (levels.some((level) => level.length > 1 && /[+#]/.test(level))) return '+ and # stand for whole levels.';
  return '';
}

/**
 * @param {string} filter
 * @param {string} other filter, or topic
 * @returns {boolean} whether the filter matches all that the other does
 */
export function covers(filter, other) {
  const ours = filter.split('/');
  const theirs = other.split('/');
  // What is the hub's own is matched by no wildcard at its first level.
  if (other.startsWith('$') && ours[0] !== theirs[0]) return false;
  for (const [place, level] of ours.entries()) {
    if (level === '#') return true;
    const their = theirs[place];
    if (their === undefined || their === '#' || (level !== '+' && level !== their)) return false;
  }
  return ours.length === theirs.length;
}
