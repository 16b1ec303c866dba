/** Users and tokens that the server API has revoked, as subjects of `Denials`. */
import type { Identity } from '../auth/identity.ts';
import type { RevocationKindLabel } from '../metrics/labels.ts';

/** A user, by name, or one token, by its `jti`. */
export interface Revoked {
  readonly kind: RevocationKindLabel;
  readonly id: string;
  /** Of a user: only tokens that were issued before this, in ms since the Unix epoch. Absent: whatever token comes. */
  readonly issuedBeforeMs?: number;
}

const MARKS: Readonly<Record<RevocationKindLabel, string>> = { user: 'u:', token: 't:' };
/** Followed by the time and the user. Nodes that do not know it pass it on. */
const OLD_TOKENS_MARK = 'b:';
const OLD_TOKENS = /^b:(\d{1,16}):(.+)$/su;

export function revokedSubject({ kind, id, issuedBeforeMs }: Revoked): string {
  return issuedBeforeMs === undefined ? MARKS[kind] + id : `${OLD_TOKENS_MARK}${issuedBeforeMs}:${id}`;
}

/** Null for a subject of another kind. */
export function revokedOf(subject: string): Revoked | null {
  if (subject.startsWith(MARKS.user)) return { kind: 'user', id: subject.slice(MARKS.user.length) };
  if (subject.startsWith(MARKS.token)) return { kind: 'token', id: subject.slice(MARKS.token.length) };
  const [, issuedBefore, id] = OLD_TOKENS.exec(subject) ?? [];
  return id === undefined ? null : { kind: 'user', id, issuedBeforeMs: Number(issuedBefore) };
}

/** What may be denied to the owner of a token as a whole, besides tokens of before a time. */
export function subjectsOf({ user, tokenId }: Pick<Identity, 'user' | 'tokenId'>): readonly string[] {
  const ofUser = revokedSubject({ kind: 'user', id: user });
  return tokenId === undefined ? [ofUser] : [ofUser, revokedSubject({ kind: 'token', id: tokenId })];
}

/** Whether a token is one of those that were issued before. A token that does not say when counts as older than any. */
export function isOlder({ issuedAtMs = 0 }: Pick<Identity, 'issuedAtMs'>, thanMs: number): boolean {
  return issuedAtMs < thanMs;
}
