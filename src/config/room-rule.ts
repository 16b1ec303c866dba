/**
 * What the configuration says about a room: the first rule whose pattern matches its name, completed with
 * defaults. All of `node/` reads it, so this file has no imports.
 */
export interface RoomRule {
  /** `messages` 0: a room without history. */
  readonly history: { readonly messages: number; readonly ageMs: number; readonly bytes?: number };
  readonly presence: boolean;
  readonly memberEvents: boolean;
  /** Whether members may have presence data. */
  readonly presenceData: boolean;
  readonly join: 'anyone' | 'authenticated' | 'nobody';
  readonly publish: 'anyone' | 'members' | 'authenticated' | 'server';
  /** Of clients, on one node; 0, or none: no limit. */
  readonly publishesPerSecond?: number;
  /** Whether it is kept how far each user has read; null: in personal rooms only. */
  readonly acks: boolean | null;
  readonly slowReaders: 'resume' | 'latest' | 'disconnect';
}
