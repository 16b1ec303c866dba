/**
 * What an envelope says of a `conflateKey`: eight bytes that stand for the key and its scope. Each user has a scope,
 * each anonymous connection has one, and the server API has one in each room. So nobody can take the place of
 * another's message: to find a key with the id of another takes 2^64 attempts.
 */
import { createHash } from 'node:crypto';
import { CONFLATION_BYTES } from '../backplane/envelope.ts';
import type { Connection } from '../connection/connection.ts';

/** Of a key of the server API. */
export function serverConflation(key: string): Uint8Array {
  return idOf(`s:${key}`);
}

/** Of a key of a client. The length prefix keeps the scopes of two users apart. */
export function clientConflation({ identity, sender }: Connection, key: string): Uint8Array {
  const { length } = sender;
  return idOf(`${identity === null ? 'c' : 'u'}${length}:${sender}:${key}`);
}

function idOf(scoped: string): Uint8Array {
  const id = createHash('sha1').update(scoped).digest().subarray(0, CONFLATION_BYTES);
  // Zeros mean that there is none.
  if (id.every((byte) => byte === 0)) id[0] = 1;
  return id;
}
