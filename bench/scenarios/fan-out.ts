import type { Shape } from './trial.ts';

const PAYLOAD_BYTES = 128;

/** What one message to many members costs: in bursts, singly, and spread over many rooms. */
export const FAN_OUT: readonly Shape[] = [
  {
    name: 'burst',
    what: '1 room x 1,000 members, 64 in flight',
    audience: { rooms: 1, membersPerRoom: 1000, publishersPerRoom: 8, payloadBytes: PAYLOAD_BYTES },
    load: { kind: 'closed', inFlight: 64 },
  },
  {
    name: 'single',
    what: '1 room x 1,000 members, 1 in flight',
    audience: { rooms: 1, membersPerRoom: 1000, publishersPerRoom: 1, payloadBytes: PAYLOAD_BYTES },
    load: { kind: 'closed', inFlight: 1 },
  },
  {
    name: 'paced',
    what: '1 room x 1,000 members, 50 publishes/s whatever comes back: latencies',
    audience: { rooms: 1, membersPerRoom: 1000, publishersPerRoom: 8, payloadBytes: PAYLOAD_BYTES },
    load: { kind: 'open', perSecond: 50 },
  },
  {
    name: 'rooms',
    what: '500 rooms x 10 members, 64 in flight',
    audience: { rooms: 500, membersPerRoom: 10, publishersPerRoom: 1, payloadBytes: PAYLOAD_BYTES },
    load: { kind: 'closed', inFlight: 64 },
  },
];
