/** What a node does about envelopes that do not reach it: members see one sequence, and what is gone is named. */
import { describe, expect } from 'vitest';
import { ROOM } from '../support/world.ts';
import { type Cast, play } from './scenarios.ts';

/** What could not be read is read again. */
const A_SECOND_MS = 1000;
/** One room is checked each second here: there are this one and the personal rooms of three users. */
const A_ROUND_OF_CHECKS_MS = 5000;

/** More than are read again at once. */
const openPersonalRooms = ({ node }: Cast, from: number) => {
  for (let i = 0; i < 60; i++) node.client(`user${from + i}`);
};

describe('what follows on', () => {
  play({
    'reaches every member on every node in one order, in both encodings': {
      steps: [
        (on) => [on.ann.join(), on.jo.join(), on.cyd.join()],
        (on) => on.pub.publish(1, 2),
        (on) => [on.ann.publish('a'), on.pub.publish(3)],
        (on) => on.cyd.publish('c'),
      ],
      told: {
        ann: 'ok@0 1 2 a 3 c',
        jo: 'ok@0 1 2 a 3 c',
        cyd: 'ok@0 1 2 a 3 c',
      },
    },
    'is sent once a turn, however many envelopes came': {
      steps: [
        (on) => on.ann.join(),
        (on) => on.port.delay(),
        (on) => on.pub.publish(1),
        (on) => on.pub.publish(2),
        (on) => on.pub.publish(3),
        (on) => on.port.arriveAll(),
      ],
      told: { ann: 'ok@0 1 2 3' },
      also: (on) => expect(on.node.metrics.traffic.messagesSent).toBe(1),
    },
    'is not sent to its publisher where that asked for no echo': {
      steps: [
        (on) => [on.ann.join(), on.bob.join()],
        (on) => on.ann.unheard.add(2),
        (on) => on.ann.send(on.ann.publishFrame(1), on.ann.publishFrame(2, 0, false), on.ann.publishFrame(3)),
      ],
      told: { ann: 'ok@0 1 3', bob: 'ok@0 1 2 3' },
    },
    'arrives twice and is sent once': {
      steps: [
        (on) => on.ann.join(),
        (on) => on.port.delay(),
        (on) => on.pub.publish(1),
        // It is read from history before it arrives.
        (on) => on.port.resume(),
        (on) => on.port.arriveAll(),
        (on) => on.pub.publish(2),
      ],
      told: { ann: 'ok@0 1 2' },
      also: (on) => expect(on.node.metrics.recovery.holes).toBe(0),
    },
  });
});

describe('a hole', () => {
  play({
    'of one envelope is read from history before what follows it': {
      steps: [
        (on) => on.ann.join(),
        (on) => on.pub.publish(1),
        (on) => (on.port.losing = 1),
        (on) => on.pub.publish(2),
        (on) => on.pub.publish(3),
      ],
      told: { ann: 'ok@0 1 2 3' },
      also: (on) => expect(on.node.metrics.recovery).toMatchObject({ holes: 1, holesFilled: 2, gaps: 0 }),
    },
    'shows at the next message only': {
      steps: [(on) => on.ann.join(), (on) => (on.port.losing = 1), (on) => on.pub.publish(1)],
      told: { ann: 'ok@0' },
    },
    'at the end is found when the link is back': {
      steps: [
        (on) => on.ann.join(),
        (on) => (on.port.losing = 2),
        (on) => on.pub.publish(1),
        (on) => on.pub.publish(2),
        (on) => on.port.resume(),
      ],
      told: { ann: 'ok@0 1 2' },
    },
    'is read while more arrives, and nothing is told twice': {
      steps: [
        (on) => on.ann.join(),
        (on) => (on.port.losing = 1),
        (on) => on.pub.publish(1),
        (on) => on.port.reads.shut(),
        (on) => on.pub.publish(2),
        (on) => on.pub.publish(3),
        (on) => on.pub.publish(4, 5),
        (on) => on.port.reads.open(),
        (on) => on.pub.publish(6),
      ],
      told: { ann: 'ok@0 1 2 3 4 5 6' },
    },
    'that opens while another one is being read is read as well': {
      steps: [
        (on) => on.ann.join(),
        (on) => (on.port.losing = 1),
        (on) => on.pub.publish(1),
        (on) => on.port.reads.shut(),
        (on) => on.pub.publish(2),
        (on) => (on.port.losing = 1),
        (on) => on.pub.publish(3),
        (on) => on.pub.publish(4),
        (on) => on.port.reads.open(),
      ],
      told: { ann: 'ok@0 1 2 3 4' },
    },
    'of what history has dropped is named as a gap': {
      world: { rule: { history: { messages: 2, ageMs: 60_000 } } },
      steps: [
        (on) => [on.ann.join(), on.jo.join()],
        (on) => on.pub.publish(1),
        (on) => (on.port.losing = 4),
        (on) => on.pub.publish(2),
        (on) => on.pub.publish(3),
        (on) => on.pub.publish(4),
        (on) => on.pub.publish(5),
        (on) => on.pub.publish(6),
      ],
      told: { ann: 'ok@0 1 gap2-4 5 6', jo: 'ok@0 1 gap2-4 5 6' },
    },
    'of which history has nothing at all is one gap': {
      steps: [
        (on) => on.ann.join(),
        (on) => (on.port.losing = 2),
        (on) => on.pub.publish(1),
        (on) => on.pub.publish(2),
        (on) => on.store.trim(ROOM, 0),
        (on) => on.port.resume(),
        (on) => on.pub.publish(3),
      ],
      told: { ann: 'ok@0 gap1-2 3' },
    },
    'is read a second later where the store does not answer, and members keep their place': {
      steps: [
        (on) => on.ann.join(),
        (on) => (on.port.losing = 1),
        (on) => on.pub.publish(1),
        (on) => on.port.reads.fail(1),
        (on) => on.pub.publish(2),
        (on) => on.pub.publish(3),
        (on) => on.world.pass(A_SECOND_MS),
      ],
      told: { ann: 'ok@0 1 2 3' },
    },
    'is read again each second until the store answers': {
      steps: [
        (on) => on.ann.join(),
        (on) => (on.port.losing = 1),
        (on) => on.pub.publish(1),
        (on) => on.port.reads.fail(3),
        (on) => on.pub.publish(2),
        (on) => on.world.pass(3 * A_SECOND_MS),
      ],
      told: { ann: 'ok@0 1 2' },
    },
    'is read again while many other rooms cannot be read, before and after it': {
      steps: [
        (on) => openPersonalRooms(on, 0),
        (on) => on.ann.join(),
        (on) => openPersonalRooms(on, 100),
        (on) => (on.port.losing = 1),
        (on) => on.pub.publish(1),
        (on) => (on.port.cannotRead = () => true),
        (on) => on.port.resume(),
        (on) => (on.port.cannotRead = (room) => room !== ROOM),
        (on) => on.world.pass(5 * A_SECOND_MS),
      ],
      told: { ann: 'ok@0 1' },
    },
    'is of no concern to a node without members': {
      steps: [
        (on) => on.ann.join(),
        (on) => on.ann.leave(),
        (on) => (on.port.losing = 1),
        (on) => on.pub.publish(1),
        (on) => on.pub.publish(2),
        (on) => on.ann.join(),
        (on) => on.pub.publish(3),
      ],
      told: { ann: 'ok@0 left ok@2 3' },
    },
  });
});

describe('a room that hears nothing', () => {
  play({
    'is subscribed anew when a check finds that it has fallen behind': {
      steps: [
        (on) => on.ann.join(),
        (on) => (on.port.isDeaf = true),
        (on) => on.pub.publish(1),
        (on) => on.world.pass(A_ROUND_OF_CHECKS_MS + 1000),
        (on) => on.pub.publish(2),
      ],
      told: { ann: 'ok@0 1 2' },
      also: (on) => expect(on.node.metrics.recovery.deafRooms).toBe(1),
    },
    'is subscribed anew also when somebody who had heard more made the node read that': {
      steps: [
        (on) => on.ann.join(),
        (on) => (on.port.isDeaf = true),
        (on) => on.pub.publish(1),
        (on) => on.bob.joinSince(1),
        (on) => on.world.pass(A_ROUND_OF_CHECKS_MS + 1000),
        (on) => on.pub.publish(2),
      ],
      told: { ann: 'ok@0 1 2', bob: 'ok@1+ 2' },
      also: (on) => expect(on.node.metrics.recovery.deafRooms).toBe(1),
    },
    'is left alone where somebody had heard what was on its way': {
      steps: [
        (on) => on.ann.join(),
        (on) => on.port.delay(),
        (on) => on.pub.publish(1),
        (on) => on.bob.joinSince(1),
        (on) => on.port.arriveAll(),
        (on) => on.world.pass(A_ROUND_OF_CHECKS_MS + 1000),
      ],
      told: { ann: 'ok@0 1', bob: 'ok@1+' },
      also: (on) => expect(on.port.counts.resubscribes).toBe(0),
    },
    'is left alone where a message arrived while it opened': {
      steps: [
        (on) => on.port.answers.shut(),
        (on) => on.ann.join(),
        (on) => on.pub.publish(1),
        (on) => on.port.answers.open(),
        (on) => on.world.pass(A_ROUND_OF_CHECKS_MS + 1000),
      ],
      told: { ann: 'ok@0 1' },
      also: (on) => expect(on.port.counts.resubscribes).toBe(0),
    },
    'is left alone where the message was merely on its way': {
      steps: [
        (on) => on.ann.join(),
        (on) => on.port.delay(),
        (on) => on.pub.publish(1),
        (on) => on.world.pass(1000),
        (on) => on.port.arriveAll(),
        (on) => on.world.pass(1000),
      ],
      told: { ann: 'ok@0 1' },
      also: (on) => expect(on.port.counts.resubscribes).toBe(0),
    },
    'is closed some seconds after its last member left, and opened anew for the next': {
      steps: [
        (on) => on.ann.join(),
        (on) => on.pub.publish(1),
        (on) => on.ann.leave(),
        (on) => on.world.pass(4000),
        (on) => expect(on.port.isSubscribed(ROOM)).toBe(true),
        (on) => on.world.pass(2000),
        (on) => expect(on.port.isSubscribed(ROOM)).toBe(false),
        (on) => on.pub.publish(2),
        (on) => on.ann.joinSince(1),
        (on) => on.pub.publish(3),
      ],
      told: { ann: 'ok@0 1 left ok@2+ 2 3' },
    },
  });
});

describe('a room without history', () => {
  const world = { rule: { history: { messages: 0, ageMs: 0 } } };
  play({
    'is served at most once, and holes are not looked for': {
      world,
      steps: [
        (on) => on.ann.join(),
        (on) => on.pub.publish('a'),
        (on) => (on.port.losing = 1),
        (on) => on.pub.publish('b'),
        (on) => on.pub.publish('c'),
        (on) => on.port.resume(),
      ],
      told: { ann: 'ok@0 a c' },
      also: (on) => expect(on.port.counts.pages).toBe(0),
    },
    'has no positions: a join with one begins at once': {
      world,
      steps: [(on) => on.pub.publish('a'), (on) => on.ann.joinSince(7), (on) => on.pub.publish('b')],
      told: { ann: 'ok@0+ b' },
    },
    'lets a slow reader miss what it could not take, and go on': {
      world: { ...world, maxBackpressure: 300 },
      steps: [
        (on) => [on.ann.join(), on.bob.join()],
        (on) => on.ann.socket.stall(),
        (on) => on.pub.publishBig(200, 'a'),
        (on) => on.pub.publishBig(200, 'b'),
        (on) => on.pub.publishBig(200, 'c'),
        (on) => on.pub.publishBig(200, 'd'),
        (on) => on.ann.socket.read(),
        (on) => on.pub.publish('e'),
      ],
      told: { ann: 'ok@0 a b e', bob: 'ok@0 a b c d e' },
    },
  });
});
