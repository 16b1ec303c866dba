/** What a key of the HTTP API may do: a scope for each action, and rooms by pattern. */
import { compilePattern } from '../util/pattern.ts';
import type { ClusterAction, Refusal, RoomAction } from './authorize.ts';

/** `read`: who and what is there; `admin`: changes users, memberships and history. They do not include each other. */
export type Scope = 'publish' | 'read' | 'admin';
const ALL: readonly Scope[] = ['publish', 'read', 'admin'];

/** How a key is described, apart from the key itself. */
export interface KeyRights {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Patterns; left out: every room, and what concerns no single room. */
  readonly rooms?: readonly string[] | undefined;
}

export interface ServerKey extends KeyRights {
  readonly covers: (room: string) => boolean;
}

export function serverKey({ name, scopes, rooms }: KeyRights): ServerKey {
  const patterns = (rooms ?? ['*']).map(compilePattern);
  return { name, scopes, rooms, covers: (room) => patterns.some((matches) => matches(room)) };
}

/** A key that may do everything. */
export function fullKey(name: string): ServerKey {
  return serverKey({ name, scopes: ALL });
}

const SCOPE_OF: Readonly<Partial<Record<RoomAction | ClusterAction, Scope>>> = {
  publish: 'publish',
  members: 'read',
  history: 'read',
  acks: 'read',
  rooms: 'read',
  nodes: 'read',
  user: 'read',
};

/** What changes something else than the messages of a room needs `admin`, and so does what has no scope of its own. */
export function scopeOf(action: RoomAction | ClusterAction): Scope {
  return SCOPE_OF[action] ?? 'admin';
}

/** Null if permitted. `room`: null for what concerns more than one room. */
export function authorizeKey(
  action: RoomAction | ClusterAction,
  room: string | null,
  key: ServerKey,
): Refusal | null {
  const scope = scopeOf(action);
  const name = `the API key "${key.name}"`;
  if (!key.scopes.includes(scope)) {
    return forbidden(`${name} lacks the scope ${scope}: it has ${key.scopes.join(', ')}`);
  }
  if (key.rooms === undefined) return null;
  const only = `it is for ${key.rooms.map((pattern) => `"${pattern}"`).join(', ')}`;
  if (room === null) {
    return forbidden(`${name} may not be used for what concerns more than its rooms: ${only}`);
  }
  return key.covers(room) ? null : forbidden(`${name} may not be used for "${room}": ${only}`);
}

function forbidden(message: string): Refusal {
  return { code: 'forbidden', message };
}
