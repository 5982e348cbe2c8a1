/**
 * The library for Node as CommonJS: `require` gives the same object as `import` does by default.
 * @module
 */

import gotalk, { StreamSocket } from '../node.js';

module.exports = Object.assign(gotalk, { StreamSocket });
