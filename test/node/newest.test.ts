/** Joins that ask for the newest messages: alone, with a position, and with all that can happen meanwhile. */
import { describe, expect } from 'vitest';
import { ROOM } from '../support/world.ts';
import { play, type Step } from './scenarios.ts';

const warm: Step = (on) => [on.bob.join(), on.pub.publish(1, 2, 3, 4)];
/** Three rooms' worth of single envelopes: what is trimmed is trimmed exactly. */
const six: Step = async (on) => {
  for (let n = 1; n <= 6; n++) {
    on.pub.publish(n);
    await on.world.settle();
  }
};
const STALE: [string, number] = ['epoch999', 2];
const keeps = (messages: number) => ({ rule: { history: { messages, ageMs: 60_000 } } });

describe('a join with the newest messages', () => {
  play({
    'gets them from the memory of the node, without a read, and then what is live': {
      steps: [warm, (on) => [on.ann.join({ last: 2 }), on.jo.join({ last: 3 })], (on) => on.pub.publish(5)],
      told: { ann: 'ok@4/2 3 4 5', jo: 'ok@4/1 2 3 4 5' },
      also: (on) => expect(on.port.counts.pages).toBe(0),
    },
    'gets them from history where the node was not there': {
      steps: [six, (on) => on.ann.join({ last: 2 }), (on) => on.pub.publish(7)],
      told: { ann: 'ok@6/4 5 6 7' },
    },
    'of many at once on a cold node costs one read': {
      steps: [six, (on) => [on.ann.join({ last: 2 }), on.jo.join({ last: 5 }), on.bob.join({ last: 4 })]],
      told: { ann: 'ok@6/4 5 6', jo: 'ok@6/1 2 3 4 5 6', bob: 'ok@6/2 3 4 5 6' },
      also: (on) => expect(on.port.counts.pages).toBe(1),
    },
    'that are fewer than it asked for gets all, without a gap': {
      steps: [warm, (on) => on.ann.join({ last: 50 }), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4/0 1 2 3 4 5' },
      also: (on) => expect(on.port.counts.pages).toBe(0),
    },
    'of which history has dropped some gets the rest, without a gap': {
      steps: [
        six,
        (on) => on.store.trim(ROOM, 2),
        (on) => on.ann.join({ last: 4 }),
        (on) => on.pub.publish(7),
      ],
      told: { ann: 'ok@6/4 5 6 7' },
    },
    'that are fewer than it asked for is looked up once, and known to the next ones': {
      steps: [
        six,
        (on) => on.store.trim(ROOM, 2),
        (on) => on.ann.join({ last: 4 }),
        // Into the node's memory, and for what is older than that.
        (on) => expect(on.port.counts.pages).toBe(2),
        (on) => [on.bob.join({ last: 4 }), on.jo.join({ last: 5 })],
      ],
      told: { ann: 'ok@6/4 5 6', bob: 'ok@6/4 5 6', jo: 'ok@6/4 5 6' },
      also: (on) => expect(on.port.counts.pages).toBe(2),
    },
    'of a history that is gone altogether begins where the room stands': {
      steps: [
        six,
        (on) => on.store.trim(ROOM, 0),
        (on) => on.ann.join({ last: 4 }),
        (on) => on.pub.publish(7),
      ],
      told: { ann: 'ok@6/6 7' },
    },
    'that have grown too old gets none, without a read': {
      steps: [
        warm,
        (on) => on.world.pass(60_001),
        (on) => on.pub.publish(5),
        (on) => on.ann.join({ last: 4 }),
        (on) => on.pub.publish(6),
      ],
      told: { ann: 'ok@5/4 5 6' },
      also: (on) => expect(on.port.counts.pages).toBe(0),
    },
    'asks for none, and gets none': {
      steps: [warm, (on) => on.ann.join({ last: 0 }), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4/4 5' },
    },
    'of an empty room gets what follows': {
      steps: [(on) => on.ann.join({ last: 3 }), (on) => on.pub.publish(1)],
      told: { ann: 'ok@0/0 1' },
    },
    'of a room without history gets what follows': {
      world: keeps(0),
      steps: [(on) => on.pub.publish(1), (on) => on.ann.join({ last: 3 }), (on) => on.pub.publish(2)],
      told: { ann: 'ok@0/0 2' },
    },
    'counts more than the limit as the limit': {
      world: keeps(1000),
      steps: [
        (on) => {
          for (let n = 1; n <= 120; n++) on.pub.publish(n);
        },
        (on) => on.ann.join({ last: 1_000_000 }),
      ],
      // The limit of this node is 100.
      told: { ann: `ok@120/20 ${Array.from({ length: 100 }, (_, i) => i + 21).join(' ')}` },
    },
    'cuts an envelope': {
      steps: [warm, (on) => on.ann.join({ last: 1 })],
      told: { ann: 'ok@4/3 4' },
    },
    'in the turn in which messages arrive counts what was delivered, and gets the others live': {
      steps: [
        warm,
        (on) => on.port.delay(),
        (on) => on.pub.publish(5),
        (on) => on.pub.publish(6),
        (on) => [on.port.arriveAll(), on.ann.join({ last: 2 }), on.jo.join({ last: 0 })],
      ],
      told: { ann: 'ok@4/2 3 4 5 6', jo: 'ok@4/4 5 6' },
    },
    'while messages arrive gets the newest at the time of the answer': {
      steps: [
        (on) => on.cyd.join(),
        six,
        (on) => on.bob.join(),
        (on) => on.port.reads.shut(),
        (on) => on.ann.join({ last: 3 }),
        (on) => on.pub.publish(7),
        (on) => on.port.reads.open(),
        (on) => on.pub.publish(8),
      ],
      told: { ann: 'ok@7/4 5 6 7 8' },
    },
    'and a message of the same connection in one go: it gets its own message once': {
      steps: [warm, (on) => on.ann.send(on.ann.joinFrame({ last: 1 }), on.ann.publishFrame('mine'))],
      told: { ann: 'ok@4/3 4 mine' },
    },
    'does not get what it published without an echo, which counts': {
      steps: [
        (on) => on.bob.join(),
        (on) => on.ann.unheard.add(2),
        (on) => on.ann.publish('a'),
        (on) => on.ann.send(on.ann.publishFrame('b', 0, false)),
        (on) => on.ann.publish('c'),
        (on) => on.ann.join({ last: 2 }),
      ],
      told: { ann: 'ok@3/1 c' },
    },
    'whose read fails is told so, and is no member': {
      steps: [
        six,
        (on) => on.bob.join(),
        (on) => on.port.reads.fail(1),
        (on) => on.ann.join({ last: 2 }),
        (on) => on.ann.join({ last: 2 }),
      ],
      told: { ann: 'error:unavailable ok@6/4 5 6' },
    },
    'that is left while its history is read fails': {
      steps: [
        six,
        (on) => on.bob.join(),
        (on) => on.port.reads.shut(),
        (on) => [on.ann.join({ last: 2 }), on.ann.leave()],
        (on) => on.port.reads.open(),
        (on) => on.pub.publish(7),
      ],
      told: { ann: 'error:not_joined left' },
    },
    'is cut off in the middle of the replay: from what it was told it loses nothing': {
      world: { maxBackpressure: 600_000, maxUnsentBytes: 600_000 },
      steps: [
        (on) => on.bob.join(),
        async (on) => {
          for (let n = 1; n <= 12; n++) {
            on.pub.publishBig(60_000, n);
            await on.world.settle();
          }
        },
        (on) => [on.ann.join({ last: 11 }), on.world.scheduler.atEndOfTurn(() => on.ann.socket.cut())],
        // Nothing but `from` was read of it.
        (on) => on.jo.joinSince(1),
      ],
      told: { ann: 'ok@12/1 2 3 4 5 6 closed:1006', jo: 'ok@12+ 2 3 4 5 6 7 8 9 10 11 12' },
    },
    'that has to wait for its portion gets the newest of that time, without a gap': {
      world: { maxBackpressure: 600_000, maxUnsentBytes: 4000 },
      steps: [
        (on) => [on.bob.join(), on.bob.join({}, 'other')],
        (on) => on.pub.send(...['a', 'b', 'c'].map((label) => on.pub.publishFrame(label, 0, true, 'other'))),
        (on) => on.pub.publishBig(3000, 1),
        (on) => on.port.delay(),
        (on) => on.pub.send(on.pub.publishFrame('d', 0, true, 'other')),
        // What the first of them is given uses up what the connection may have in this turn.
        (on) => {
          on.ann.send(on.ann.joinFrame({ last: 1 }), on.ann.joinFrame({ last: 2 }, 'other'));
          on.port.arriveAll();
        },
      ],
      told: { ann: 'ok@1/0 1 ok@4/2 c d' },
    },
    'while the room begins a new epoch gets the newest of that': {
      steps: [
        six,
        (on) => on.bob.join(),
        (on) => on.port.reads.shut(),
        (on) => on.ann.join({ last: 2 }),
        (on) => on.store.failOver(ROOM, 1),
        (on) => on.port.reads.open(),
        (on) => on.world.pass(1000),
        (on) => on.pub.publish('new'),
      ],
      told: { ann: 'ok@5/3 4 5 new' },
    },
    'after the store was flushed gets what there is now': {
      steps: [
        warm,
        (on) => on.store.flush(),
        (on) => on.pub.publish('a', 'b'),
        (on) => on.ann.join({ last: 50 }),
        (on) => on.pub.publish('c'),
      ],
      told: { bob: 'ok@0 1 2 3 4 reset@0 a b c', ann: 'ok@2/0 a b c' },
    },
  });
});

describe('a join with a position and the newest messages', () => {
  play({
    'that missed fewer gets all of them': {
      steps: [warm, (on) => on.ann.join({ since: [on.store.room(ROOM).epoch, 2], last: 3 })],
      told: { ann: 'ok@4+/2 3 4' },
    },
    'that missed more is told what is left out': {
      steps: [
        warm,
        (on) => on.ann.join({ since: [on.store.room(ROOM).epoch, 1], last: 1 }),
        (on) => on.pub.publish(5),
      ],
      told: { ann: 'ok@4/3 gap2-3:limited 4 5' },
      also: (on) => expect([on.port.counts.pages, on.node.metrics.recovery.gaps]).toEqual([0, 0]),
    },
    'that missed more and wants none is told of all': {
      steps: [
        warm,
        (on) => on.ann.join({ since: [on.store.room(ROOM).epoch, 1], last: 0 }),
        (on) => on.pub.publish(5),
      ],
      told: { ann: 'ok@4/4 gap2-4:limited 5' },
    },
    'that missed nothing is at the newest': {
      steps: [
        warm,
        (on) => on.ann.join({ since: [on.store.room(ROOM).epoch, 4], last: 1 }),
        (on) => on.pub.publish(5),
      ],
      told: { ann: 'ok@4+/4 5' },
    },
    'of which some are gone is told these first': {
      steps: [
        six,
        (on) => on.store.trim(ROOM, 4),
        (on) => on.ann.join({ since: [on.store.room(ROOM).epoch, 1], last: 2 }),
        (on) => on.pub.publish(7),
      ],
      told: { ann: 'ok@6/4 gap2-2 gap3-4:limited 5 6 7' },
      also: (on) => expect(on.node.metrics.recovery.gaps).toBe(1),
    },
    'of which some are gone, as the node knows, needs no read': {
      steps: [
        six,
        (on) => on.store.trim(ROOM, 4),
        (on) => on.bob.join({ last: 6 }),
        (on) => expect(on.port.counts.pages).toBe(2),
        (on) => on.ann.join({ since: [on.store.room(ROOM).epoch, 1], last: 2 }),
      ],
      told: { bob: 'ok@6/2 3 4 5 6', ann: 'ok@6/4 gap2-2 gap3-4:limited 5 6' },
      also: (on) => expect(on.port.counts.pages).toBe(2),
    },
    'of which all but the newest are gone is told one gap': {
      steps: [
        six,
        (on) => on.store.trim(ROOM, 1),
        (on) => on.ann.join({ since: [on.store.room(ROOM).epoch, 1], last: 3 }),
        (on) => on.pub.publish(7),
      ],
      told: { ann: 'ok@6/5 gap2-5 6 7' },
    },
    'of which all are gone is told one gap': {
      steps: [
        six,
        (on) => on.store.trim(ROOM, 0),
        (on) => on.ann.join({ since: [on.store.room(ROOM).epoch, 1], last: 3 }),
        (on) => on.pub.publish(7),
      ],
      told: { ann: 'ok@6/6 gap2-6 7' },
    },
    'of an epoch that is over is reset to the newest': {
      steps: [warm, (on) => on.ann.join({ since: STALE, last: 3 }), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4/1 reset@1 2 3 4 5' },
    },
    'of an epoch that is over is reset to where the room stands where it wants none': {
      steps: [warm, (on) => on.ann.join({ since: STALE, last: 0 }), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4/4 reset@4 5' },
    },
    'before the first message of whatever epoch gets the newest': {
      steps: [warm, (on) => on.ann.join({ since: ['', 0], last: 3 }), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4/1 gap1-1:limited 2 3 4 5' },
    },
    'while messages arrive gets the newest at the time of the answer': {
      steps: [
        six,
        (on) => on.bob.join(),
        (on) => on.port.reads.shut(),
        (on) => on.ann.join({ since: [on.store.room(ROOM).epoch, 1], last: 3 }),
        (on) => on.pub.publish(7),
        (on) => on.port.reads.open(),
        (on) => on.pub.publish(8),
      ],
      told: { ann: 'ok@7/4 gap2-4:limited 5 6 7 8' },
    },
    'in a room without history begins live': {
      world: keeps(0),
      steps: [(on) => on.ann.join({ since: ['', 0], last: 3 }), (on) => on.pub.publish(1)],
      told: { ann: 'ok@0+/0 1' },
    },
  });
});

describe('a join where its user left off and with the newest messages', () => {
  const world = { rule: { acks: true } };
  const acked = (offset: number): Step => {
    return (on) => on.store.acked.set('ann', { epoch: on.store.room(ROOM).epoch, offset });
  };
  play({
    'gets the newest of what the user missed': {
      world,
      steps: [warm, acked(1), (on) => on.ann.join({ resume: true, last: 1 }), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4/3(1) gap2-3:limited 4 5' },
    },
    'gets all where the user missed fewer': {
      world,
      steps: [warm, acked(3), (on) => on.ann.join({ resume: true, last: 10 })],
      told: { ann: 'ok@4+/3(3) 4' },
    },
    'starts anew where the room stands': {
      world,
      steps: [warm, (on) => on.ann.join({ resume: true, last: 10 }), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4/4(4) 5' },
    },
  });
});
