/** Joins, with and without a position, and all that can happen to one before it is answered. */
import { describe, expect } from 'vitest';
import { ROOM } from '../support/world.ts';
import { play, type Step } from './scenarios.ts';

const warm: Step = (on) => [on.bob.join(), on.pub.publish(1, 2, 3, 4)];
/** A join of an epoch that never was. */
const STALE: [string, number] = ['epoch999', 2];

describe('a join', () => {
  play({
    'of a room that is live here begins where it stands': {
      steps: [warm, (on) => on.ann.join(), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4 5' },
    },
    'begins where the room stands when the room is opened for it': {
      steps: [(on) => on.pub.publish(1, 2), (on) => on.ann.join(), (on) => on.pub.publish(3)],
      told: { ann: 'ok@2 3' },
    },
    'waits for the room to be subscribed, and gets what came after its position was read': {
      steps: [
        (on) => on.pub.publish(1),
        (on) => on.port.reads.shut(),
        (on) => on.ann.join(),
        (on) => on.pub.publish(2),
        (on) => on.port.reads.open(),
        (on) => on.pub.publish(3),
      ],
      // The position is read when the gate opens: 2 came before that.
      told: { ann: 'ok@2 3' },
    },
    'waits for the room to be opened, also while its connection drains or catches up in another room': {
      steps: [
        (on) => on.pub.publish(1, 2),
        (on) => [on.bob.join({}, 'other'), on.pub.send(on.pub.publishFrame('o', 0, true, 'other'))],
        (on) => on.port.subscribes.shut(),
        (on) => [on.ann.join(), on.jo.joinSince(1)],
        (on) => [on.ann, on.jo].map(({ connection }) => on.node.broker.drained(connection)),
        (on) => on.ann.joinSince(0, 'other'),
        (on) => on.port.subscribes.open(),
        (on) => on.pub.publish(3),
      ],
      told: { ann: 'ok@1+ o ok@2 3', jo: 'ok@2+ 2 3' },
    },
    'waits for what its user has acknowledged while its connection drains': {
      world: { rule: { acks: true } },
      steps: [
        warm,
        (on) => on.store.acked.set('ann', { epoch: on.store.room(ROOM).epoch, offset: 2 }),
        (on) => on.port.lookups.shut(),
        (on) => on.ann.join({ resume: true }),
        (on) => on.node.broker.drained(on.ann.connection),
        (on) => on.port.lookups.open(),
        (on) => on.pub.publish(5),
      ],
      told: { ann: 'ok@4+(2) 3 4 5' },
    },
    'and a message of the same connection in one go: it gets its own message': {
      steps: [(on) => on.ann.send(on.ann.joinFrame(), on.ann.publishFrame('mine'))],
      told: { ann: 'ok@0 mine' },
    },
    'and several messages in one go while the room opens: in order, behind the join': {
      steps: [
        (on) => on.port.subscribes.shut(),
        (on) => on.ann.send(on.ann.joinFrame(), on.ann.publishFrame('a'), on.ann.publishFrame('b')),
        (on) => on.ann.publish('c'),
        (on) => on.cyd.join(),
        (on) => on.pub.publish('other'),
        (on) => on.port.subscribes.open(),
      ],
      told: { ann: 'ok@1 a b c', cyd: 'ok@0 other a b c' },
    },
    'of two in one turn is answered each before the messages of its room': {
      steps: [warm, (on) => [on.ann.join(), on.jo.join(), on.pub.publish(5)]],
      told: { ann: 'ok@4 5', jo: 'ok@4 5' },
    },
    'in the turn in which messages arrive gets all that its offset leaves': {
      steps: [
        warm,
        (on) => on.port.delay(),
        (on) => on.pub.publish(5),
        (on) => on.pub.publish(6),
        (on) => [on.port.arriveAll(), on.ann.join(), on.ann.publish('a')],
      ],
      told: { bob: 'ok@0 1 2 3 4 5 6 a', ann: 'ok@4 5 6 a' },
    },
    'with a position in the turn in which messages arrive is fed up to those, which come with the others': {
      steps: [
        warm,
        (on) => on.port.delay(),
        (on) => on.pub.publish(5),
        (on) => [on.port.arriveAll(), on.ann.joinSince(2), on.jo.joinSince(5)],
        (on) => on.pub.publish(6),
      ],
      told: { ann: 'ok@5+ 3 4 5 6', jo: 'ok@5+ 6' },
    },
    'with presence enters when it is answered, not before': {
      world: { rule: { presence: true } },
      steps: [
        (on) => on.port.subscribes.shut(),
        (on) => on.ann.join(),
        (on) => expect(on.port.presence.log).toEqual([]),
        (on) => on.port.subscribes.open(),
        (on) => on.ann.leave(),
      ],
      told: { ann: 'ok@0 left' },
      also: (on) => expect(on.port.presence.log).toEqual(['+ann', '-ann']),
    },
    'fails with the store, is no membership then, and may be tried again': {
      steps: [
        (on) => on.port.reads.fail(1),
        (on) => on.ann.join(),
        (on) => expect(on.ann.connection.rooms).toEqual(['$user:ann']),
        (on) => on.pub.publish(1),
        (on) => on.ann.join(),
        (on) => on.pub.publish(2),
      ],
      told: { ann: 'error:unavailable ok@1 2' },
      also: (on) => expect(on.node.broker.catchingUp).toBe(0),
    },
    'fails for all who wait for the room, and what one of them published is still sent': {
      steps: [
        (on) => on.cyd.join(),
        (on) => on.port.reads.shut(),
        (on) => [on.ann.send(on.ann.joinFrame(), on.ann.publishFrame('a')), on.bob.join()],
        (on) => on.port.reads.fail(),
        (on) => on.port.reads.open(),
        (on) => on.bob.join(),
      ],
      told: { ann: 'error:unavailable', bob: 'error:unavailable ok@1', cyd: 'ok@0 a' },
    },
  });
});

describe('a join that is overtaken', () => {
  play({
    'by a leave while its history is read fails, and the leave succeeds': {
      steps: [
        (on) => on.pub.publish(1, 2),
        (on) => on.bob.join(),
        (on) => on.port.reads.shut(),
        (on) => on.ann.joinSince(0),
        (on) => on.ann.leave(),
        (on) => on.port.reads.open(),
        (on) => on.pub.publish(3),
      ],
      told: { ann: 'error:not_joined left' },
    },
    'by another join while its history is read fails, and the other one counts': {
      steps: [
        (on) => on.pub.publish(1, 2),
        (on) => on.bob.join(),
        (on) => on.port.reads.shut(),
        (on) => on.ann.joinSince(0),
        (on) => on.ann.joinSince(1),
        (on) => on.pub.publish(3),
        (on) => on.port.reads.open(),
      ],
      told: { ann: 'error:not_joined ok@3+ 2 3' },
    },
    'by a leave after it was answered stops what it was still to be fed': {
      world: { maxBackpressure: 600_000, maxUnsentBytes: 600_000 },
      steps: [
        (on) => on.bob.join(),
        async (on) => {
          for (let n = 1; n <= 12; n++) {
            on.pub.publishBig(60_000, n);
            await on.world.settle();
          }
        },
        // Fed 256 KiB a turn: the leave comes after the second of them.
        (on) => [on.ann.joinSince(0), on.world.scheduler.atEndOfTurn(() => on.ann.leave())],
      ],
      told: { ann: 'ok@12+ 1 2 3 4 5 6 7 8 9 10 left' },
    },
    'by a leave while the room opens fails': {
      steps: [
        (on) => on.port.subscribes.shut(),
        (on) => on.ann.join(),
        (on) => on.ann.leave(),
        (on) => on.port.subscribes.open(),
        (on) => on.pub.publish(1),
      ],
      told: { ann: 'error:not_joined left' },
    },
    'by another join while the room opens fails, and the other one counts': {
      steps: [
        (on) => on.pub.publish(1, 2),
        (on) => on.port.subscribes.shut(),
        (on) => on.ann.join(),
        (on) => on.ann.joinSince(1),
        (on) => on.port.subscribes.open(),
        (on) => on.pub.publish(3),
      ],
      told: { ann: 'error:not_joined ok@2+ 2 3' },
    },
    'by the end of its connection leaves nothing behind': {
      steps: [
        (on) => on.port.subscribes.shut(),
        (on) => on.ann.join(),
        (on) => on.ann.socket.cut(),
        (on) => on.port.subscribes.open(),
        (on) => on.pub.publish(1),
      ],
      told: { ann: 'closed:1006' },
      also: (on) => {
        expect(on.node.broker.catchingUp).toBe(0);
        expect(on.node.broker.hub.room(ROOM)?.members).toBe(0);
      },
    },
    'by a leave in the same go still has its message sent': {
      steps: [
        (on) => on.cyd.join(),
        (on) => on.port.subscribes.shut(),
        (on) => on.ann.send(on.ann.joinFrame(), on.ann.publishFrame('a'), on.ann.leaveFrame()),
        (on) => on.port.subscribes.open(),
        (on) => on.pub.publish(1),
      ],
      told: { ann: 'error:not_joined left' },
      also: (on) => expect(on.cyd.told().split(' ').sort()).toEqual(['1', 'a', 'ok@0']),
    },
  });
});

describe('a join with a position', () => {
  play({
    'gets what it missed from the memory of the node, without a read': {
      steps: [warm, (on) => on.ann.joinSince(2), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4+ 3 4 5' },
      also: (on) => expect(on.port.counts.pages).toBe(0),
    },
    'gets what it missed from history where the node was not there': {
      steps: [
        (on) => on.pub.publish(1, 2),
        (on) => on.pub.publish(3),
        (on) => on.ann.joinSince(1),
        (on) => on.pub.publish(4),
      ],
      told: { ann: 'ok@3+ 2 3 4' },
    },
    'at the newest message gets what follows': {
      steps: [warm, (on) => on.ann.joinSince(4), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4+ 5' },
    },
    'at 0 gets all there is': {
      steps: [warm, (on) => on.ann.joinSince(0), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4+ 1 2 3 4 5' },
    },
    'that history no longer reaches is told a gap': {
      world: { rule: { history: { messages: 2, ageMs: 60_000 } } },
      steps: [
        (on) => on.pub.publish(1),
        (on) => on.pub.publish(2),
        (on) => on.pub.publish(3),
        (on) => on.pub.publish(4),
        (on) => on.ann.joinSince(1),
        (on) => on.pub.publish(5),
      ],
      told: { ann: 'ok@4 gap2-2 3 4 5' },
    },
    'of a history that is gone altogether is told one gap': {
      steps: [warm, (on) => on.store.trim(ROOM, 0), (on) => on.cyd.joinSince(1), (on) => on.pub.publish(5)],
      told: { cyd: 'ok@4 gap2-4 5' },
    },
    'of an epoch that is over is reset, and gets all there is': {
      steps: [warm, (on) => on.ann.join({ since: STALE }), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4 reset@0 1 2 3 4 5' },
    },
    'while messages arrive: no gap and no repeat between the old and the new': {
      steps: [
        (on) => on.cyd.join(),
        (on) => on.pub.publish(1),
        (on) => on.pub.publish(2),
        (on) => on.port.reads.shut(),
        (on) => on.ann.joinSince(0),
        (on) => on.pub.publish(3),
        (on) => on.port.reads.open(),
        (on) => on.pub.publish(4),
      ],
      told: { ann: 'ok@3+ 1 2 3 4', cyd: 'ok@0 1 2 3 4' },
    },
    'whose read stalls while more is published gets all of it': {
      steps: [
        (on) => [on.pub.publish(1), on.pub.publish(2)],
        (on) => on.bob.join(),
        (on) => on.port.reads.shut(),
        (on) => on.ann.joinSince(0),
        (on) => on.pub.publish(3),
        (on) => on.pub.publish(4),
        (on) => on.port.reads.open(),
        (on) => on.pub.publish(5),
      ],
      told: { ann: 'ok@4+ 1 2 3 4 5', bob: 'ok@2 3 4 5' },
    },
    'whose read fails is told so, and is no member': {
      steps: [
        (on) => on.pub.publish(1, 2),
        (on) => on.bob.join(),
        (on) => on.port.reads.fail(1),
        (on) => on.ann.joinSince(0),
        (on) => on.pub.publish(3),
        (on) => on.ann.joinSince(0),
      ],
      told: { ann: 'error:unavailable ok@3+ 1 2 3' },
    },
    'ahead of the node waits for what is on its way': {
      steps: [
        warm,
        (on) => on.port.delay(),
        (on) => on.pub.publish(5),
        (on) => on.pub.publish(6),
        (on) => on.ann.joinSince(5),
        (on) => on.port.arriveAll(),
        (on) => on.pub.publish(7),
      ],
      told: { ann: 'ok@6+ 6 7', bob: 'ok@0 1 2 3 4 5 6 7' },
    },
    'ahead of what the store has is reset: the store lost it': {
      steps: [
        (on) => on.pub.publish(1, 2, 3),
        (on) => on.store.loseNewest(ROOM, 0),
        (on) => on.ann.joinSince(5),
        (on) => on.pub.publish(4),
      ],
      told: { ann: 'ok@3 reset@0 1 2 3 4' },
    },
    'of a thousand messages is fed in pages, in order': {
      world: { rule: { history: { messages: 5000, ageMs: 60_000 } } },
      steps: [
        (on) => {
          for (let n = 1; n <= 1200; n++) on.pub.publish(n);
        },
        (on) => on.ann.joinSince(0),
        (on) => on.pub.publish('live'),
      ],
      told: { ann: `ok@1200+ ${Array.from({ length: 1200 }, (_, i) => i + 1).join(' ')} live` },
    },
    'made twice begins again where the second one says': {
      steps: [warm, (on) => on.ann.joinSince(2), (on) => on.ann.joinSince(3), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4+ 3 4 ok@4+ 4 5' },
    },
    'does not get by catching up what it published without an echo': {
      steps: [
        (on) => on.bob.join(),
        (on) => [1, 3].map((offset) => on.ann.unheard.add(offset)),
        (on) => on.ann.send(on.ann.publishFrame('a', 0, false)),
        (on) => on.ann.publish('b'),
        (on) => on.ann.send(on.ann.publishFrame('c', 0, false)),
        (on) => on.ann.joinSince(0),
        (on) => on.pub.publish('d'),
      ],
      told: { ann: 'ok@3+ b d', bob: 'ok@0 a b c d' },
    },
    'of many at once costs one read': {
      steps: [
        (on) => on.pub.publish(1, 2, 3),
        (on) => on.bob.join(),
        (on) => [on.ann.joinSince(0), on.jo.joinSince(1), on.bob.joinSince(2)],
      ],
      told: { ann: 'ok@3+ 1 2 3', jo: 'ok@3+ 2 3', bob: 'ok@3 ok@3+ 3' },
      also: (on) => expect(on.port.counts.pages).toBe(1),
    },
  });
});

describe('a join where acknowledgements are kept', () => {
  const world = { rule: { acks: true } };
  const acked = (offset: number): Step => {
    return (on) => on.store.acked.set('ann', { epoch: on.store.room(ROOM).epoch, offset });
  };
  play({
    'says what its user acknowledged': {
      world,
      steps: [warm, acked(3), (on) => on.ann.join(), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4(3) 5' },
    },
    'with resume begins after it': {
      world,
      steps: [warm, acked(3), (on) => on.ann.join({ resume: true }), (on) => on.pub.publish(5)],
      told: { ann: 'ok@4+(3) 4 5' },
    },
    'with resume begins where the room stands where nothing was, and that is kept': {
      world,
      steps: [
        warm,
        (on) => on.ann.join({ resume: true }),
        (on) => on.ann.leave(),
        (on) => on.pub.publish(5),
        (on) => on.ann.join({ resume: true }),
      ],
      told: { ann: 'ok@4(4) left ok@5+(4) 5' },
    },
    'with resume for the first time gets what came after its start was kept': {
      world,
      steps: [
        warm,
        (on) => on.port.delay(),
        (on) => on.pub.publish(5),
        (on) => on.ann.join({ resume: true }),
        (on) => on.port.arriveAll(),
        (on) => on.pub.publish(6),
      ],
      told: { ann: 'ok@5(5) 6' },
    },
    'holds back what the same connection publishes meanwhile, and other rooms do not wait': {
      world: { rules: { [ROOM]: { acks: true } } },
      steps: [
        warm,
        (on) => on.ann.join({}, 'other'),
        (on) => on.port.lookups.shut(),
        (on) => on.ann.send(on.ann.joinFrame(), on.ann.publishFrame('a')),
        (on) => on.ann.send(on.ann.publishFrame('elsewhere', 0, true, 'other'), on.ann.publishFrame('b')),
        (on) => on.pub.publish(5),
        (on) => expect(on.ann.told()).toBe('ok@0 elsewhere'),
        (on) => on.port.lookups.open(),
      ],
      told: { ann: 'ok@0 elsewhere ok@5(null) a b', bob: 'ok@0(null) 1 2 3 4 5 a b' },
    },
    'fails with the lookup, and what was held back is sent': {
      world,
      steps: [
        warm,
        (on) => on.port.lookups.shut(),
        (on) => on.ann.send(on.ann.joinFrame(), on.ann.publishFrame('a')),
        // It is in the room, and not on its topic.
        (on) => expect([on.node.broker.hub.room(ROOM)?.members, on.node.broker.catchingUp]).toEqual([2, 1]),
        (on) => on.port.lookups.fail(),
        (on) => expect(on.node.broker.catchingUp).toBe(0),
      ],
      told: { ann: 'error:unavailable', bob: 'ok@0(null) 1 2 3 4 a' },
      also: (on) => expect(on.ann.connection.rooms).toEqual(['$user:ann']),
    },
    'waits for the lookup and for the room, whichever is later': {
      world,
      steps: [
        (on) => on.pub.publish(1),
        (on) => [on.port.lookups.shut(), on.port.subscribes.shut()],
        (on) => [on.ann.send(on.ann.joinFrame(), on.ann.publishFrame('a')), on.bob.join()],
        (on) => on.port.lookups.openOne(),
        (on) => expect(on.ann.told()).toBe(''),
        (on) => on.port.subscribes.open(),
        (on) => expect(on.ann.told()).toBe('ok@1(null) a'),
        (on) => on.port.lookups.open(),
      ],
      told: { ann: 'ok@1(null) a', bob: 'ok@2(null)' },
    },
    'made anew while the first one looks up: only the second counts': {
      world,
      steps: [
        warm,
        (on) => on.port.lookups.shut(),
        (on) => on.ann.send(on.ann.joinFrame(), on.ann.publishFrame('a'), on.ann.joinFrame()),
        (on) => on.port.lookups.openOne(1),
        (on) => on.port.lookups.open(),
        (on) => on.pub.publish(5),
      ],
      told: { bob: 'ok@0(null) 1 2 3 4 a 5' },
      also: (on) => expect(on.ann.told()).toBe('error:not_joined ok@4(null) a 5'),
    },
    'left while it looks up does not come back to life': {
      world,
      steps: [
        warm,
        (on) => on.port.lookups.shut(),
        (on) => on.ann.send(on.ann.joinFrame(), on.ann.leaveFrame()),
        (on) => on.port.lookups.open(),
        (on) => on.pub.publish(5),
      ],
      told: { ann: 'error:not_joined left' },
      also: (on) => expect(on.ann.socket.topics).toEqual(['b$user:ann']),
    },
  });
});
