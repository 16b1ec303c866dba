/** Personal rooms: every connection of a user is in its own, and may join it for what came while the user was away. */
import { describe, expect } from 'vitest';
import type { ServerFrame } from '../../src/protocol/frames.ts';
import type { Client } from '../support/world.ts';
import { type Cast, play, type Step } from './scenarios.ts';

const ROOM = '$user:ann';

/** What the server API does. */
function notify(on: Cast, ...texts: readonly string[]): void {
  for (const data of texts) {
    on.node.broker.server.publish({ room: ROOM, data: textOf(data), key: null }, UNHEARD);
  }
}

const UNHEARD = { published: () => undefined, failed: () => undefined };

function textOf(text: string): Uint8Array {
  return Uint8Array.of(0xa0 + text.length, ...Buffer.from(text));
}

/** Payloads, gaps and answers to joins, in order. */
function heard({ socket }: Client): string[] {
  return socket.frames.flatMap((frame: ServerFrame) => {
    if (frame[0] === 'message' && frame[1] === ROOM) return [String(frame[5])];
    if (frame[0] === 'gap' && frame[1] === ROOM) return [`gap:${frame[4]}`];
    if (frame[0] === 'ok' && 'recovered' in frame[2])
      return [`ok@${(frame[2] as { offset: number }).offset}`];
    return frame[0] === 'error' ? [`error:${frame[2]}`] : [];
  });
}

const says = (...texts: readonly string[]): Step => {
  return (on) => notify(on, ...texts);
};
const joins = (options: { since?: [string, number]; resume?: boolean; last?: number }): Step => {
  return (on) => on.ann.join(options, ROOM);
};
const acks = (offset: number): Step => {
  return (on) => on.ann.send(['ack', 0, ROOM, [on.store.room(ROOM).epoch, offset]]);
};

/** Ordinary rules say nothing of acks. */
const world = { rule: { acks: null } };

describe('a personal room', () => {
  let eve: Client;
  play({
    'is heard without joining it': {
      world,
      steps: [says('a', 'b')],
      told: {},
      also: (on) => expect(heard(on.ann)).toEqual(['a', 'b']),
    },
    'may be joined with the newest messages, and goes on live': {
      world,
      steps: [says('a', 'b', 'c'), joins({ last: 2 }), says('d')],
      told: {},
      also: (on) => expect(heard(on.ann)).toEqual(['a', 'b', 'c', 'ok@3', 'b', 'c', 'd']),
    },
    'may be joined after a position': {
      world,
      steps: [
        says('a', 'b', 'c'),
        (on) => on.ann.join({ since: [on.store.room(ROOM).epoch, 2] }, ROOM),
        says('d'),
      ],
      told: {},
      also: (on) => expect(heard(on.ann)).toEqual(['a', 'b', 'c', 'ok@3', 'c', 'd']),
    },
    'keeps acks by default, and brings the rest where the user left off': {
      world,
      steps: [says('a', 'b', 'c'), acks(1), joins({ resume: true }), says('d')],
      told: {},
      also: (on) => expect(heard(on.ann)).toEqual(['a', 'b', 'c', 'ok@3', 'b', 'c', 'd']),
    },
    'asks nobody what was acknowledged unless it is joined': {
      world,
      steps: [says('a')],
      told: {},
      also: (on) => expect(on.port.counts.lookups).toBe(0),
    },
    'keeps no acks where its rule says so': {
      world: { rules: { [ROOM]: { acks: false } } },
      steps: [says('a'), (on) => on.ann.send(['ack', 9, ROOM, ['', 0]])],
      told: {},
      also: (on) => {
        expect(heard(on.ann)).toEqual(['a', 'error:bad_request']);
        expect(on.port.counts.lookups).toBe(0);
      },
    },
    'of another user may not be joined': {
      world,
      steps: [(on) => on.bob.join({ last: 2 }, ROOM)],
      told: { bob: 'error:forbidden' },
    },
    'cannot be left, and is heard after a try': {
      world,
      steps: [(on) => on.ann.leave(ROOM), says('a')],
      told: {},
      also: (on) => expect(heard(on.ann)).toEqual(['error:forbidden', 'a']),
    },
    'is heard after a join of it that failed': {
      world,
      steps: [
        says('a'),
        (on) => on.port.lookups.fail(1),
        joins({ resume: true }),
        (on) => expect(on.ann.connection.rooms).toEqual([ROOM]),
        says('b'),
      ],
      told: {},
      also: (on) => expect(heard(on.ann)).toEqual(['a', 'error:unavailable', 'b']),
    },
    'that could not be opened is opened by a join, which the next try leaves alone': {
      world,
      steps: [
        (on) => on.port.reads.fail(2),
        // A second connection of a user whose room is not open on this node.
        (on) => (eve = on.node.client('eve')),
        () => expect(eve.connection.rooms).toEqual([]),
        () => eve.join({ last: 5 }, '$user:eve'),
        (on) => on.port.reads.fail(0),
        () => eve.join({ last: 5 }, '$user:eve'),
        (on) => on.world.pass(2_000),
      ],
      told: {},
      also: () => {
        expect(eve.connection.rooms).toEqual(['$user:eve']);
        expect(heard(eve)).toEqual(['error:unavailable', 'ok@0']);
      },
    },
  });
});
