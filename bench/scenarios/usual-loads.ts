/** Loads shared by several scenarios, so that their figures can be compared. */
import type { Audience } from '../../src/load/driver.ts';
import type { LoadPlan } from '../../src/load/load.ts';

export interface UsualLoad {
  readonly what: string;
  readonly audience: Pick<Audience, 'rooms' | 'membersPerRoom' | 'publishersPerRoom'>;
  readonly load: LoadPlan;
}

export const BURST: UsualLoad = {
  what: '1 room x 1,000 members, 8 publishers, 64 in flight',
  audience: { rooms: 1, membersPerRoom: 1000, publishersPerRoom: 8 },
  load: { kind: 'closed', inFlight: 64 },
};

export const SINGLE: UsualLoad = {
  what: '1 room x 1,000 members, 1 in flight: nothing can be batched',
  audience: { rooms: 1, membersPerRoom: 1000, publishersPerRoom: 1 },
  load: { kind: 'closed', inFlight: 1 },
};

export const ROOMS: UsualLoad = {
  what: '500 rooms x 10 members, a publisher in each, 64 in flight',
  audience: { rooms: 500, membersPerRoom: 10, publishersPerRoom: 1 },
  load: { kind: 'closed', inFlight: 64 },
};
