/** `claim`: only a token whose `rooms` claim grants it by name. `server`: only the server API. */
export type Access = 'anyone' | 'authenticated' | 'claim' | 'server';
/** What a client may be permitted in a room besides joining it and publishing in it. */
export type RightBesideJoin = 'members' | 'history' | 'ack' | 'presence';

/**
 * What the configuration says about a room: the first rule whose pattern matches its name, completed with
 * defaults. All of `node/` reads it, so this file has no imports.
 */
export interface RoomRule {
  /** The pattern that matched the room; null: none did. Default: not known. */
  readonly match?: string | null;
  /** `messages` 0: a room without history. */
  readonly history: { readonly messages: number; readonly ageMs: number; readonly bytes?: number };
  readonly presence: boolean;
  readonly memberEvents: boolean;
  /** Whether members may have presence data. */
  readonly presenceData: boolean;
  /** `nobody` is another word for `server`. */
  readonly join: Access | 'nobody';
  readonly publish: Access | 'members';
  /** Of clients, on one node; 0, or none: no limit. */
  readonly publishesPerSecond?: number;
  /** Who may do what else; what is left out follows `join`. */
  readonly access?: { readonly [Right in RightBesideJoin]?: Access | undefined };
  /** `defaultDeny`: what neither a rule nor a token permits is refused. Default false. */
  readonly deniesByDefault?: boolean;
  /** Whether it is kept how far each user has read; null: in personal rooms only. */
  readonly acks: boolean | null;
  readonly slowReaders: 'resume' | 'latest' | 'disconnect';
}
