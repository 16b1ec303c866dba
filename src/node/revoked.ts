/** Users and tokens that the server API has revoked, as subjects of `Denials`. */
import type { Identity } from '../auth/identity.ts';
import type { RevocationKindLabel } from '../metrics/labels.ts';

/** A user, by name, or one token, by its `jti`. */
export interface Revoked {
  readonly kind: RevocationKindLabel;
  readonly id: string;
}

const MARKS: Readonly<Record<RevocationKindLabel, string>> = { user: 'u:', token: 't:' };

export function revokedSubject({ kind, id }: Revoked): string {
  return MARKS[kind] + id;
}

/** Null for a subject of another kind. */
export function revokedOf(subject: string): Revoked | null {
  if (subject.startsWith(MARKS.user)) return { kind: 'user', id: subject.slice(MARKS.user.length) };
  if (subject.startsWith(MARKS.token)) return { kind: 'token', id: subject.slice(MARKS.token.length) };
  return null;
}

/** What may be denied to the owner of a token as a whole. */
export function subjectsOf({ user, tokenId }: Pick<Identity, 'user' | 'tokenId'>): readonly string[] {
  const ofUser = revokedSubject({ kind: 'user', id: user });
  return tokenId === undefined ? [ofUser] : [ofUser, revokedSubject({ kind: 'token', id: tokenId })];
}
