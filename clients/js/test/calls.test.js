/** Requests of this side. */

import assert from 'node:assert/strict';
import test from 'node:test';

import gotalk from '../src/gotalk.js';
import { pair } from './support/peer.js';

test('request', async (t) => {
  const { sock, peer } = pair(t, gotalk);
  assert.equal(sock.state, 'open');
  await peer.next('v');
  const answer = sock.request('echo', { a: 1 });
  const request = await peer.next('r');
  assert.equal(request.name, 'echo');
  peer.send({ t: 'R', id: request.id, payload: request.payload });
  assert.deepEqual(await answer, { a: 1 });
});
