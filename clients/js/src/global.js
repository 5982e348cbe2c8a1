/**
 * The library as a classic script: `<script src="/gotalk/gotalk.js">` defines `gotalk`. In CommonJS it is the module.
 * @module
 */

import gotalk from './gotalk.js';

/** @type {any} */
const scope = globalThis;

// A script that defines `module` for itself still wants the global one; one in CommonJS does not.
if (typeof module == 'object' && module?.exports) module.exports = gotalk;
else scope.gotalk = gotalk;
