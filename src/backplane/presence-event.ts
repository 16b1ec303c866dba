/**
 * Tells nodes that members of a room joined, left and changed, on the same channel as its envelopes: a byte
 * 2, where an envelope has its version 3, then for each change four MessagePack values:
 *
 *   true for joined, false for left, nil for changed · connection · who · entries in the room afterwards
 *
 * `who` is [user], [user, info], [user, info, data], or [user, nil, data, false] for data without info. A node
 * makes its bytes once, and `data` is the bytes that the client sent. The store keeps them and puts them into
 * events.
 */
import type { PackedValue } from '../protocol/frames.ts';
import { DATA_LEVELS, packed, unpackAll, writeValue } from '../protocol/msgpack/values.ts';
import { PackError } from '../protocol/msgpack/writer.ts';
import type { OwnEntry, PresenceChange, PresenceEntry } from './presence.ts';

export const PRESENCE_EVENT = 2;

/** Of `info` or `data`, and the array around it. */
const WHO_LEVELS = DATA_LEVELS + 1;
const VALUES_PER_CHANGE = 4;

/** Leaves out info that MessagePack cannot carry, such as deep nesting: presence never throws. */
export function packWho({ user, info, data }: OwnEntry): Uint8Array {
  if (info === undefined) return packFields(user, undefined, data);
  try {
    return packFields(user, info, data);
  } catch (error) {
    if (error instanceof PackError) return packFields(user, undefined, data);
    throw error;
  }
}

function packFields(user: string | null, info: unknown, data: PackedValue | undefined): Uint8Array {
  const hasInfo = info !== undefined;
  return packed((writer) => {
    if (data === undefined) writer.arrayHeader(hasInfo ? 2 : 1);
    else writer.arrayHeader(hasInfo ? 3 : 4);
    writeValue(writer, user, 0);
    if (hasInfo || data !== undefined) writeValue(writer, info, DATA_LEVELS);
    if (data === undefined) return;
    writer.raw(data);
    if (!hasInfo) writer.boolean(false);
  });
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
  if (typeof connection !== 'string' || typeof count !== 'number') return null;
  const change = joined === null ? 'changed' : joined === true ? 'joined' : joined === false ? 'left' : null;
  const entry = toEntry(connection, who);
  return entry === null || change === null ? null : { change, who: entry, count };
}

function toEntry(connection: string, who: unknown): PresenceEntry | null {
  if (!Array.isArray(who) || who.length === 0) return null;
  const [user, info, data] = who as unknown[];
  if (user !== null && typeof user !== 'string') return null;
  if (who.length === 1) return { connection, user };
  if (who.length === 2) return { connection, user, info };
  return who.length === 3 ? { connection, user, info, data } : { connection, user, data };
}

function unpackOrNull(bytes: Uint8Array): unknown[] | null {
  try {
    return unpackAll(bytes, WHO_LEVELS);
  } catch {
    // Not a presence event: the caller counts it as malformed.
    return null;
  }
}
