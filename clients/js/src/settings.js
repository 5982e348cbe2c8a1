/**
 * What a program sets once for all.
 * @module
 */

import { ownAddress } from './dial.js';
import { Handlers } from './handlers.js';

/** The part of `gotalk` that the library itself looks at. */
export const settings = {
  /** Whether callers are told of mistakes in handlers in full. */
  developmentMode: false,
  /** Where to connect to if nothing else is said. */
  defaultResponderAddress: ownAddress(),
  /** The handlers of all who have none of their own. */
  defaultHandlers: new Handlers(),
};
