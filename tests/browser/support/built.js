/**
 * Programs of this repository, as cargo built them.
 * @module
 */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TARGET = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL('../../../target', import.meta.url));

/** The daemon, and the command line. */
export const SWITCHBOARD = process.env.SWITCHBOARD_BINARY ?? join(TARGET, 'debug/switchboard');

/** @param {string} name @returns {string} the program of an example */
export const example = (name) => join(TARGET, 'debug/examples', name);
