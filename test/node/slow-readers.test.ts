/** Peers that do not read: what they cost is bounded, and when they read again they lack nothing that is not named. */
import { describe, expect } from 'vitest';
import { ROOM } from '../support/world.ts';
import { play, type Step } from './scenarios.ts';

const BIG = 200;
/**
 * A queue that is over its limit with the second of those: the third is dropped, and waits in the connection then, fed by the
 * cursor that it gets. So a peer that reads again finds three, and what follows is caught up with.
 */
const world = { maxBackpressure: 300 };
const all: Step = (on) => [on.ann.join(), on.bob.join()];
const big = (...labels: readonly (string | number)[]): Step => {
  return async (on) => {
    for (const label of labels) {
      on.pub.publishBig(BIG, label);
      await on.world.settle();
    }
  };
};
const isOffTopic: Step = (on) => expect(on.ann.socket.topics).not.toContain(`b${ROOM}`);

describe('a member that does not read', () => {
  play({
    'and reads again before its queue is full lacks nothing, and stays on the topic': {
      world,
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        big(1),
        (on) => on.ann.socket.read(),
        big(2),
        (on) => expect(on.node.metrics.recovery.slowReaders.resume).toBe(0),
      ],
      told: { ann: 'ok@0 1 2', bob: 'ok@0 1 2' },
    },
    'is caught up when it reads, and the others were not held up': {
      world,
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        big(1, 2, 3, 4),
        isOffTopic,
        big(5),
        (on) => expect(on.bob.told()).toBe('ok@0 1 2 3 4 5'),
        (on) => on.ann.socket.read(),
        big(6),
      ],
      told: { ann: 'ok@0 1 2 3 4 5 6', bob: 'ok@0 1 2 3 4 5 6' },
      also: (on) => {
        expect(on.ann.socket.mostBuffered).toBeLessThan(world.maxBackpressure + 2 * (BIG + 30));
        expect(on.node.metrics.recovery.slowReaders.resume).toBeGreaterThan(0);
      },
    },
    'and reads JSON is caught up as well': {
      world,
      steps: [
        (on) => on.jo.join(),
        (on) => on.jo.socket.stall(),
        big(1, 2, 3, 4),
        (on) => on.jo.socket.read(),
        big(5),
      ],
      told: { jo: 'ok@0 1 2 3 4 5' },
    },
    'gets all that several turns dropped in several rooms, each in order': {
      world,
      steps: [
        (on) => on.ann.send(on.ann.joinFrame(), on.ann.joinFrame({}, 'other')),
        (on) => on.ann.socket.stall(),
        big('a'),
        (on) => on.pub.send(on.pub.publishFrame('o', BIG, true, 'other'), on.pub.publishFrame('b', BIG)),
        big('c'),
        (on) => on.pub.send(on.pub.publishFrame('p', BIG, true, 'other')),
        (on) => on.ann.socket.read(),
        (on) => on.pub.send(on.pub.publishFrame('q', 0, true, 'other'), on.pub.publishFrame('d')),
      ],
      told: {},
      also: (on) => {
        const words = on.ann.told().split(' ');
        expect(words.filter((word) => 'abcd'.includes(word))).toEqual(['a', 'b', 'c', 'd']);
        expect(words.filter((word) => 'opq'.includes(word))).toEqual(['o', 'p', 'q']);
      },
    },
    'lacks what history has dropped meanwhile, and is told which': {
      world: { ...world, rule: { history: { messages: 2, ageMs: 60_000 } } },
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        big(1, 2, 3, 4, 5, 6),
        (on) => on.ann.socket.read(),
        big(7),
      ],
      told: { ann: 'ok@0 1 2 3 gap4-4 5 6 7', bob: 'ok@0 1 2 3 4 5 6 7' },
    },
    'stops again while it is caught up, and goes on from there': {
      world,
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        big(1, 2, 3, 4, 5, 6),
        (on) => [on.ann.socket.read(), on.ann.socket.stall()],
        big(7, 8),
        (on) => on.ann.socket.read(),
        big(9),
      ],
      told: { ann: 'ok@0 1 2 3 4 5 6 7 8 9' },
    },
    'is caught up from history where the memory of the node does not reach': {
      world: { ...world, rule: { history: { messages: 100, ageMs: 60_000 } } },
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        big(1, 2, 3, 4),
        // Older than what a node remembers: the store's own clock is not ours.
        (on) => on.world.pass(61_000),
        (on) => on.ann.socket.read(),
        big(5),
      ],
      told: { ann: 'ok@0 1 2 3 4 5' },
      also: (on) => expect(on.port.counts.pages).toBeGreaterThan(0),
    },
    'and whose read fails is tried again': {
      world,
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        big(1, 2, 3, 4),
        (on) => on.world.pass(61_000),
        (on) => on.port.reads.fail(1),
        (on) => on.ann.socket.read(),
        (on) => expect(on.ann.told()).toBe('ok@0 1 2 3'),
        (on) => on.world.pass(500),
        big(5),
      ],
      told: { ann: 'ok@0 1 2 3 4 5' },
    },
    'leaves, and is told nothing more': {
      world,
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        big(1, 2, 3, 4),
        (on) => on.ann.leave(),
        (on) => on.ann.socket.read(),
        big(5),
      ],
      told: { ann: 'ok@0 1 2 3 left' },
      also: (on) => expect(on.node.broker.catchingUp).toBe(0),
    },
    'leaves and joins again where it stands': {
      world,
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        big(1, 2, 3, 4),
        (on) => [on.ann.leave(), on.ann.joinSince(2)],
        (on) => on.ann.socket.read(),
        big(5),
      ],
      told: { ann: 'ok@0 1 2 3 left ok@4+ 3 4 5' },
    },
    'goes away': {
      world,
      steps: [all, (on) => on.ann.socket.stall(), big(1, 2, 3, 4), (on) => on.ann.socket.cut(), big(5)],
      told: { ann: 'ok@0 closed:1006', bob: 'ok@0 1 2 3 4 5' },
      also: (on) => expect(on.node.broker.catchingUp).toBe(0),
    },
    'misses a hole that is repaired meanwhile, and gets it in its place': {
      world,
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        big(1, 2),
        (on) => (on.port.losing = 1),
        big(3, 4),
        (on) => on.ann.socket.read(),
        big(5),
      ],
      told: { ann: 'ok@0 1 2 3 4 5', bob: 'ok@0 1 2 3 4 5' },
    },
    'while its room begins a new epoch is reset when it reads': {
      world,
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        big(1, 2, 3, 4),
        (on) => on.store.failOver(ROOM, 1),
        big(5),
        (on) => on.ann.socket.read(),
        big(6),
      ],
      told: { bob: 'ok@0 1 2 3 4 reset@3 5 6', ann: 'ok@0 1 2 3 reset@0 1 2 3 5 6' },
    },
    'is the publisher of a message that it does not want back': {
      world,
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        big(1, 2, 3),
        (on) => on.ann.unheard.add(4),
        (on) => on.ann.send(on.ann.publishFrame('mine', BIG, false)),
        big(5),
        (on) => on.ann.socket.read(),
        big(6),
      ],
      told: { ann: 'ok@0 1 2 3 5 6', bob: 'ok@0 1 2 3 mine 5 6' },
    },
  });
});

describe('replies that a peer does not read', () => {
  play({
    'wait for it, and messages do not overtake them': {
      world: { maxBackpressure: 50 },
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        big(1),
        (on) => on.ann.send(on.ann.publishFrame('mine')),
        big(3),
        (on) => on.ann.socket.read(),
        big(4),
      ],
      told: { ann: 'ok@0 1 mine 3 4' },
    },
    'end the connection where they are too many': {
      world: { maxBackpressure: 50, maxUnsentBytes: 300 },
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        big(1, 2),
        (on) => {
          for (let n = 0; n < 60; n++) on.ann.send(['ping', 1000 + n]);
        },
        big(3),
      ],
      told: { bob: 'ok@0 1 2 3' },
      also: (on) => expect(on.ann.connection.isOpen).toBe(false),
    },
    'of a join come before the messages of its room': {
      world: { maxBackpressure: 50 },
      steps: [
        (on) => [on.bob.join(), on.ann.join({}, 'other')],
        (on) => on.ann.socket.stall(),
        (on) => on.pub.send(on.pub.publishFrame('o', BIG, true, 'other')),
        (on) => on.pub.send(on.pub.publishFrame('p', BIG, true, 'other')),
        (on) => on.ann.join(),
        big(1, 2),
        (on) => on.ann.socket.read(),
        big(3),
      ],
      told: { bob: 'ok@0 1 2 3' },
      also: (on) => {
        const words = on.ann.told().split(' ');
        expect(words.filter((word) => !'op'.includes(word))).toEqual(['ok@0', 'ok@0', '1', '2', '3']);
      },
    },
  });
});

describe('a queue that has room again right after it dropped a message', () => {
  play({
    'gets no later message of the same turn before the dropped one': {
      world: { maxBackpressure: 100_000, maxUnsentBytes: 1_000_000 },
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        (on) => (on.ann.socket.makesRoomAfterDrop = true),
        (on) => on.port.delay(),
        async (on) => {
          // Each is a WebSocket message of its own, and leaves from within the publish.
          for (let n = 1; n <= 5; n++) {
            on.pub.publishBig(60_000, n);
            await on.world.settle();
          }
        },
        (on) => on.port.arriveAll(),
        (on) => on.ann.socket.read(),
        (on) => on.pub.publish(6),
      ],
      told: { ann: 'ok@0 1 2 3 4 5 6', bob: 'ok@0 1 2 3 4 5 6' },
    },
    'gets no message before a reply that was dropped': {
      world: { maxBackpressure: 50 },
      steps: [
        (on) => [on.bob.join(), on.ann.join({}, 'other')],
        (on) => on.ann.socket.stall(),
        (on) => on.pub.send(on.pub.publishFrame('o', BIG, true, 'other')),
        (on) => (on.ann.socket.makesRoomAfterDrop = true),
        (on) => on.port.delay(),
        (on) => on.pub.publish(1),
        (on) => [on.ann.join(), on.port.arriveAll()],
        (on) => on.ann.socket.read(),
        (on) => on.pub.publish(2),
      ],
      told: { ann: 'ok@0 o ok@0 1 2', bob: 'ok@0 1 2' },
    },
  });
});

describe('the policies for slow readers', () => {
  play({
    'latest: it skips to the newest message': {
      world: { ...world, rule: { slowReaders: 'latest' } },
      steps: [all, (on) => on.ann.socket.stall(), big(1, 2, 3, 4, 5), (on) => on.ann.socket.read(), big(6)],
      told: { ann: 'ok@0 1 2 3 gap4-4:skipped 5 6', bob: 'ok@0 1 2 3 4 5 6' },
    },
    'latest: with one message missing it skips nothing': {
      world: { ...world, rule: { slowReaders: 'latest' } },
      steps: [all, (on) => on.ann.socket.stall(), big(1, 2, 3), (on) => on.ann.socket.read(), big(4)],
      told: { ann: 'ok@0 1 2 3 4' },
    },
    'disconnect: it is closed as soon as it can be told': {
      world: { ...world, rule: { slowReaders: 'disconnect' } },
      steps: [all, (on) => on.ann.socket.stall(), big(1, 2, 3, 4), (on) => on.ann.socket.read(), big(5)],
      told: { ann: 'ok@0 1 2 closed:4008', bob: 'ok@0 1 2 3 4 5' },
    },
    'disconnect: a room that lost nothing for it does not end it': {
      world: { ...world, rules: { other: { slowReaders: 'disconnect' } } },
      steps: [
        (on) => on.ann.send(on.ann.joinFrame(), on.ann.joinFrame({}, 'other')),
        (on) => on.ann.socket.stall(),
        big(1, 2, 3),
        (on) => on.ann.socket.read(),
        (on) => on.pub.send(on.pub.publishFrame('o', 0, true, 'other'), on.pub.publishFrame(4)),
      ],
      told: {},
      also: (on) => expect(on.ann.told().split(' ').sort().join(' ')).toBe('1 2 3 4 o ok@0 ok@0'),
    },
  });
});

describe('a queue that is smaller than what a cursor is fed in one turn', () => {
  play({
    'is not filled until the connection has to end': {
      world: {
        maxBackpressure: 100_000,
        maxUnsentBytes: 100_000,
        rule: { history: { messages: 1000, ageMs: 60_000 } },
      },
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        async (on) => {
          for (let n = 1; n <= 120; n++) {
            on.pub.publishBig(5000, n);
            await on.world.settle();
          }
        },
        (on) => [on.ann.socket.read(), on.ann.socket.stall()],
        (on) => on.ann.socket.read(),
        (on) => on.pub.publish('end'),
      ],
      told: { ann: `ok@0 ${Array.from({ length: 120 }, (_, i) => i + 1).join(' ')} end` },
      also: (on) => expect(on.ann.socket.mostBuffered).toBeLessThan(110_000),
    },
  });
});

describe('many messages in one turn', () => {
  play({
    'for a peer that stops in the middle: the rest is fed when it reads': {
      world: {
        maxBackpressure: 100_000,
        maxUnsentBytes: 1_000_000,
        rule: { history: { messages: 1000, ageMs: 60_000 } },
      },
      steps: [
        all,
        (on) => on.ann.socket.stall(),
        (on) => {
          for (let n = 1; n <= 60; n++) on.pub.publishBig(5000, n);
        },
        (on) => on.ann.socket.read(),
        (on) => on.pub.publish('end'),
      ],
      told: {
        ann: `ok@0 ${Array.from({ length: 60 }, (_, i) => i + 1).join(' ')} end`,
        bob: `ok@0 ${Array.from({ length: 60 }, (_, i) => i + 1).join(' ')} end`,
      },
    },
  });
});
