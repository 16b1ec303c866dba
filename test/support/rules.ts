import type { RoomRule } from '../../src/config/room-rule.ts';

/** A room with everything in it, open to anyone. */
export const OPEN: RoomRule = {
  history: { messages: 100, ageMs: 60_000 },
  presence: true,
  memberEvents: true,
  presenceData: true,
  join: 'anyone',
  publish: 'anyone',
  acks: false,
  slowReaders: 'resume',
};
