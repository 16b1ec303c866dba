/**
 * Tells nodes that members of a room joined and left, on the same channel as its envelopes: a byte 2, where
 * an envelope has its version 3, then for each change four MessagePack values:
 *
 *   true for joined, false for left · connection · who: [user] or [user, info] · entries in the room afterwards
 *
 * A node makes the bytes of `who` once; the store keeps them and puts them into the events of joining and
 * leaving.
 */
import { DATA_LEVELS, packed, unpackAll, writeValue } from '../protocol/msgpack/values.ts';
import { PackError } from '../protocol/msgpack/writer.ts';
import type { PresenceChange, PresenceEntry } from './presence.ts';

export const PRESENCE_EVENT = 2;

/** Of `info`, and the array around it. */
const WHO_LEVELS = DATA_LEVELS + 1;
const VALUES_PER_CHANGE = 4;

/** Leaves out info that MessagePack cannot carry, such as deep nesting: presence never throws. */
export function packWho({ user, info }: PresenceEntry): Uint8Array {
  if (info === undefined) return packFields([user]);
  try {
    return packFields([user, info]);
  } catch (error) {
    if (error instanceof PackError) return packFields([user]);
    throw error;
  }
}

function packFields(fields: readonly unknown[]): Uint8Array {
  return packed((writer) => writeValue(writer, fields, WHO_LEVELS));
}

/** Null for bytes that `packWho` did not make. */
export function unpackWho(connection: string, bytes: Uint8Array): PresenceEntry | null {
  const values = unpackOrNull(bytes);
  return values?.length === 1 ? toEntry(connection, values[0]) : null;
}

/** Null for bytes that are not a presence event: peers' bytes never crash a node. */
export function parsePresenceEvent(bytes: Buffer): PresenceChange[] | null {
  if (bytes[0] !== PRESENCE_EVENT) return null;
  const values = unpackOrNull(bytes.subarray(1));
  if (values === null || values.length === 0 || values.length % VALUES_PER_CHANGE !== 0) return null;
  const changes: PresenceChange[] = [];
  for (let i = 0; i < values.length; i += VALUES_PER_CHANGE) {
    const change = toChange(values.slice(i, i + VALUES_PER_CHANGE));
    if (change === null) return null;
    changes.push(change);
  }
  return changes;
}

function toChange([joined, connection, who, count]: readonly unknown[]): PresenceChange | null {
  if (typeof joined !== 'boolean' || typeof connection !== 'string' || typeof count !== 'number') return null;
  const entry = toEntry(connection, who);
  return entry === null ? null : { change: joined ? 'joined' : 'left', who: entry, count };
}

function toEntry(connection: string, who: unknown): PresenceEntry | null {
  if (!Array.isArray(who) || who.length === 0) return null;
  const [user, info] = who as unknown[];
  if (user !== null && typeof user !== 'string') return null;
  return who.length === 1 ? { connection, user } : { connection, user, info };
}

function unpackOrNull(bytes: Uint8Array): unknown[] | null {
  try {
    return unpackAll(bytes, WHO_LEVELS);
  } catch {
    // Not a presence event: the caller counts it as malformed.
    return null;
  }
}
