import type { RevocationKindLabel } from '../metrics/labels.ts';

/**
 * What one node asks of all nodes, itself included. JSON, since it is rare and other versions may extend it:
 * fields that this version does not know are ignored. `changedAtMs`: when the store denied or lifted what it is about, as in `Denial`;
 * earlier versions do not tell.
 */
export type ControlMessage =
  /** Close all connections of the user. */
  | { readonly type: 'disconnect'; readonly user: string }
  /** End the user's memberships of the room. `forMs`: the user is kept out for that long; null: as before. */
  | {
      readonly type: 'remove';
      readonly room: string;
      readonly user: string;
      readonly reason: string;
      readonly forMs: number | null;
      readonly changedAtMs?: number;
    }
  /** Make the user's connections members of the room. It is no longer kept out. */
  | { readonly type: 'add'; readonly room: string; readonly user: string; readonly changedAtMs?: number }
  /** The user, or the token with this `jti`, is revoked for that long; 0: no longer. */
  | {
      readonly type: 'revoke';
      readonly kind: RevocationKindLabel;
      readonly id: string;
      readonly forMs: number;
      readonly changedAtMs?: number;
    }
  /**
   * Tokens of the user that were issued before are revoked for that long. A type of its own: a node that does not know it
   * must not take it for a revocation of the user.
   */
  | {
      readonly type: 'sign_out';
      readonly user: string;
      readonly issuedBeforeMs: number;
      readonly forMs: number;
      readonly changedAtMs?: number;
    }
  /** The store got back denials that it had lost: copies made before that lack them. */
  | { readonly type: 'restored' }
  /** The room's history was dropped. */
  | { readonly type: 'cleared'; readonly room: string };

/** Null for anything else: peers' bytes never crash a node. */
export function parseControlMessage(text: string): ControlMessage | null {
  const fields = fieldsOf(text);
  const { type, room, user, reason, forMs } = fields;
  const changed = changeOf(fields);
  if (type === 'restored') return { type };
  if (type === 'revoke') return revocationOf(fields);
  if (type === 'cleared') return isName(room) ? { type, room } : null;
  if (!isName(user)) return null;
  if (type === 'disconnect') return { type, user };
  if (type === 'sign_out') return signOutOf(user, fields);
  if (!isName(room)) return null;
  if (type === 'add') return { type, room, user, ...changed };
  if (type !== 'remove' || typeof reason !== 'string') return null;
  return { type, room, user, reason, forMs: typeof forMs === 'number' ? forMs : null, ...changed };
}

function changeOf({ changedAtMs }: Record<string, unknown>): { readonly changedAtMs?: number } {
  return typeof changedAtMs === 'number' ? { changedAtMs } : {};
}

function revocationOf(fields: Record<string, unknown>): ControlMessage | null {
  const { kind, id, forMs } = fields;
  if ((kind !== 'user' && kind !== 'token') || !isName(id) || typeof forMs !== 'number') return null;
  return { type: 'revoke', kind, id, forMs, ...changeOf(fields) };
}

function signOutOf(user: string, fields: Record<string, unknown>): ControlMessage | null {
  const { issuedBeforeMs, forMs } = fields;
  if (typeof issuedBeforeMs !== 'number' || typeof forMs !== 'number') return null;
  return { type: 'sign_out', user, issuedBeforeMs, forMs, ...changeOf(fields) };
}

function fieldsOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    // The caller counts it.
    return {};
  }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
