/** Who is behind, or new and asks for the newest, gets the newest message of each key; live delivery is as ever. */
import { describe, expect } from 'vitest';
import { ROOM } from '../support/world.ts';
import { type Cast, play, type Step } from './scenarios.ts';

/** Rooms of users, which their node opens too. */
const PERSONAL = 3;

/** Publishes from `who`, by label: `a1` has the key `a`, `-1` has none. Each is an envelope. */
const from = (who: 'pub' | 'ann' | 'cyd', bytes: number, ...labels: readonly string[]): Step => {
  return async (on) => {
    for (const label of labels) {
      on[who].send(frameOf(on[who], label, bytes));
      await on.world.settle();
    }
  };
};
const frameOf = (client: Cast['pub'], label: string, bytes = 0) =>
  label[0] === '-' ? client.publishFrame(label, bytes) : client.conflatedFrame(label, label[0]!, bytes);
const atOnce = (...labels: readonly string[]): Step => {
  return (on) => on.pub.send(...labels.map((label) => frameOf(on.pub, label)));
};

describe('messages with a conflateKey, in a room with history', () => {
  play({
    'all reach a member that keeps up': {
      steps: [(on) => [on.ann.join(), on.jo.join()], atOnce('a1', 'b1', 'a2'), from('pub', 0, 'a3')],
      told: { ann: 'ok@0 a1 b1 a2 a3', jo: 'ok@0 a1 b1 a2 a3' },
    },
    'are the newest of each key for who was away, and the numbers left out are named': {
      steps: [
        atOnce('-1', 'a1', 'b1', 'a2'),
        from('pub', 0, 'a3', '-2', 'b2', 'a4'),
        (on) => on.ann.joinSince(0),
        (on) => on.jo.joinSince(0),
        from('pub', 0, 'a5'),
      ],
      told: {
        ann: 'ok@8+ -1 gap2-5:replaced -2 b2 a4 a5',
        jo: 'ok@8+ -1 gap2-5:replaced -2 b2 a4 a5',
      },
      also: (on) => expect(on.node.metrics.recovery).toMatchObject({ replaced: 8, gaps: 0, recovered: 8 }),
    },
    'count for last after they are conflated': {
      steps: [
        atOnce('-1', 'a1', 'b1'),
        from('pub', 0, 'a2', 'a3', 'b2', 'a4', 'a5'),
        (on) => on.ann.join({ last: 2 }),
        (on) => on.bob.join({ last: 3 }),
        (on) => on.jo.join({ last: 100 }),
        (on) => on.cyd.join({ last: 1 }),
        from('pub', 0, 'a6'),
      ],
      told: {
        ann: 'ok@8/5 b2 gap7-7:replaced a5 a6',
        bob: 'ok@8/0 -1 gap2-5:replaced b2 gap7-7:replaced a5 a6',
        jo: 'ok@8/0 -1 gap2-5:replaced b2 gap7-7:replaced a5 a6',
        cyd: 'ok@8/7 a5 a6',
      },
    },
    'count for last together with since too': {
      steps: [
        atOnce('-1', '-2', 'a1', 'b1'),
        from('pub', 0, 'a2', 'a3', 'b2', 'a4'),
        (on) => on.ann.join({ last: 2, since: [on.store.room(ROOM).epoch, 1] }),
      ],
      told: { ann: 'ok@8/6 gap2-6:limited b2 a4' },
    },
    'are left out for a member that reads too slowly': {
      world: { maxBackpressure: 300 },
      steps: [
        (on) => [on.ann.join(), on.bob.join()],
        (on) => on.ann.socket.stall(),
        from('pub', 200, 'a1', 'a2', 'a3', 'a4', 'b1', 'a5', 'b2', 'a6', '-1', 'a7'),
        (on) => on.ann.socket.read(),
        from('pub', 0, 'a8'),
      ],
      told: {
        ann: 'ok@0 a1 a2 a3 gap4-6:replaced b2 gap8-8:replaced -1 a7 a8',
        bob: 'ok@0 a1 a2 a3 a4 b1 a5 b2 a6 -1 a7 a8',
      },
    },
    'belong to their sender': {
      steps: [
        from('pub', 0, 'a1'),
        from('ann', 0, 'a2'),
        from('pub', 0, 'a3'),
        (on) => on.bob.join({ last: 10 }),
      ],
      told: { bob: 'ok@3/0 gap1-1:replaced a2 a3' },
    },
    'are read from history and conflated by a node that has none of it': {
      steps: [
        from('pub', 0, 'a1', 'b1', 'a2', '-1', 'a3'),
        (on) => on.cyd.join({ last: 3 }),
        (on) => expect(on.world.nodes[1]!.port.counts.pages).toBe(1),
        (on) => on.pub.join({ last: 3 }),
        (on) => expect(on.world.nodes[1]!.port.counts.pages).toBe(1),
      ],
      told: { cyd: 'ok@5/1 b1 gap3-3:replaced -1 a3' },
    },
    'follow a gap for what is gone': {
      world: { rule: { history: { messages: 3, ageMs: 60_000 } } },
      steps: [
        from('pub', 0, 'a1', 'b1', 'a2', 'a3', 'a4'),
        (on) => on.ann.joinSince(1),
        (on) => on.store.trim(ROOM, 3),
      ],
      told: { ann: 'ok@5 gap2-2 gap3-4:replaced a4' },
    },
    'need not be in history any more to be replaced': {
      world: { rule: { history: { messages: 2, ageMs: 60_000 } } },
      steps: [
        (on) => on.ann.join(),
        from('pub', 0, '-1', 'a1', 'a2', 'b1', 'a3', 'b2', 'a4', 'b3'),
        (on) => on.bob.joinSince(1),
        (on) => on.jo.join({ last: 1, since: [on.store.room(ROOM).epoch, 2] }),
        (on) => expect(on.port.counts.pages).toBe(0),
        (on) => on.cyd.joinSince(0),
      ],
      told: {
        bob: 'ok@8+ gap2-6:replaced a4 b3',
        jo: 'ok@8/7 gap3-7:limited b3',
        // This node has not seen them.
        cyd: 'ok@8 gap1-6 a4 b3',
      },
      also: (on) => expect(on.node.metrics.recovery).toMatchObject({ replaced: 5, gaps: 0 }),
    },
    'are read where a message of another kind is among them': {
      world: { rule: { history: { messages: 4, ageMs: 60_000 } } },
      steps: [
        (on) => on.ann.join(),
        from('pub', 0, 'a1', 'a2', 'b1', '-1', 'a3', 'b2', 'a4', 'b3'),
        (on) => on.bob.joinSince(1),
      ],
      told: { bob: 'ok@8 gap2-4 gap5-6:replaced a4 b3' },
    },
    'are not told to a publisher that asked for no echo, replaced or not': {
      steps: [
        (on) => on.ann.send(on.ann.joinFrame()),
        (on) => {
          on.ann.unheard.add(1).add(3);
          on.ann.send(['publish', 0, ROOM, 'a1', { conflateKey: 'a', echo: false }]);
        },
        from('pub', 0, 'b1'),
        (on) => on.ann.send(['publish', 0, ROOM, 'a2', { conflateKey: 'a', echo: false }]),
        (on) => on.ann.joinSince(0),
        (on) => on.bob.joinSince(0),
      ],
      told: { bob: 'ok@3+ gap1-1:replaced b1 a2' },
      also: (on) => expect(on.ann.told()).toMatch(/^ok@0 b1 ok@3\+ (gap1-1:replaced )?b1$/),
    },
  });
});

describe('messages with a conflateKey, in a room without history', () => {
  const rule = { history: { messages: 0, ageMs: 60_000 } };
  play({
    'all reach a member that keeps up, and none a member that did not ask': {
      world: { rule },
      steps: [
        (on) => on.ann.join(),
        atOnce('a1', 'b1', 'a2'),
        (on) => on.bob.join(),
        (on) => on.jo.join({ last: 0 }),
        from('pub', 0, 'a3'),
      ],
      told: { ann: 'ok@0 a1 b1 a2 a3', bob: 'ok@0 a3', jo: 'ok@0/0 a3' },
    },
    'are the newest of each key for a new member that asks for the last': {
      world: { rule },
      steps: [
        (on) => on.ann.join(),
        from('pub', 0, '-1', 'a1', 'b1', 'a2', 'c1', '-2', 'b2'),
        (on) => on.bob.join({ last: 2 }),
        (on) => on.jo.join({ last: 100 }),
        (on) => on.cyd.join({ last: 100 }),
        from('pub', 0, 'a3'),
        (on) => expect(on.node.port.counts.newest).toBe(1 + PERSONAL),
      ],
      told: { bob: 'ok@0/0 c1 b2 a3', jo: 'ok@0/0 a2 c1 b2 a3', cyd: 'ok@0/0 a2 c1 b2 a3' },
    },
    'are what a member lacks that reads too slowly, once each': {
      world: { rule, maxBackpressure: 300 },
      steps: [
        (on) => [on.ann.join(), on.bob.join()],
        from('pub', 0, 'c1'),
        (on) => on.ann.socket.stall(),
        from('pub', 200, 'a1', 'a2', 'a3', 'a4', 'b1', '-1', 'a5', 'b2'),
        (on) => on.ann.socket.read(),
        from('pub', 0, 'a6'),
      ],
      told: { ann: 'ok@0 c1 a1 a2 a3 a5 b2 a6', bob: 'ok@0 c1 a1 a2 a3 a4 b1 -1 a5 b2 a6' },
    },
    'that are on their way while a node begins to hear the room are told once': {
      world: { rule },
      steps: [
        from('pub', 0, 'a1'),
        (on) => on.port.reads.shut(),
        (on) => on.ann.join({ last: 10 }),
        from('pub', 0, 'b1', 'a2'),
        (on) => on.port.reads.open(),
        from('pub', 0, 'a3'),
      ],
      told: { ann: 'ok@0/0 b1 a2 a3' },
    },
    'are not followed by messages that were sent before them': {
      world: { rule },
      steps: [
        (on) => on.port.reads.shut(),
        (on) => on.ann.join({ last: 10 }),
        (on) => on.port.delay(),
        from('pub', 0, '-1', 'a1', '-2'),
        (on) => on.port.reads.open(),
        (on) => on.port.arriveAll(),
        from('pub', 0, '-3'),
      ],
      told: { ann: 'ok@0/0 a1 -2 -3' },
    },
    'are known to who joins after they were missed by the node': {
      world: { rule },
      steps: [
        (on) => on.ann.join(),
        from('pub', 0, 'a1', 'b1'),
        (on) => (on.port.losing = 1),
        from('pub', 0, 'a2'),
        (on) => on.port.resume(),
        (on) => on.bob.join({ last: 10 }),
        from('pub', 0, 'b2'),
      ],
      told: { ann: 'ok@0 a1 b1 b2', bob: 'ok@0/0 b1 a2 b2' },
    },
    'that were replaced while the node reads again do not come back': {
      world: { rule, maxBackpressure: 300 },
      steps: [
        (on) => [on.ann.join(), on.bob.join()],
        from('pub', 0, 'a1'),
        (on) => on.ann.socket.stall(),
        from('pub', 200, 'b1', 'b2', 'b3'),
        (on) => on.port.answers.shut(),
        (on) => on.port.resume(),
        from('pub', 0, 'a2'),
        (on) => on.port.answers.open(),
        (on) => on.jo.join({ last: 10 }),
        (on) => on.ann.socket.read(),
      ],
      told: { ann: 'ok@0 a1 b1 b2 b3 a2', bob: 'ok@0 a1 b1 b2 b3 a2', jo: 'ok@0/0 b3 a2' },
    },
    'do not come back either for one that is too large to be kept': {
      world: { rule, maxBackpressure: 100_000 },
      steps: [
        (on) => on.ann.join(),
        from('pub', 0, 'a1', 'b1'),
        (on) => on.port.answers.shut(),
        (on) => on.port.resume(),
        from('pub', 5000, 'a2'),
        (on) => on.port.answers.open(),
        (on) => on.bob.join({ last: 10 }),
      ],
      told: { ann: 'ok@0 a1 b1 a2', bob: 'ok@0/0 b1' },
    },
    'are not given to who joins where the node missed one that is too large to be kept': {
      world: { rule, maxBackpressure: 100_000 },
      steps: [
        (on) => on.ann.join(),
        from('pub', 0, 'b1', 'a1'),
        (on) => (on.port.losing = 1),
        from('pub', 5000, 'a2'),
        (on) => on.port.resume(),
        (on) => on.bob.join({ last: 10 }),
        from('pub', 0, 'a3'),
        (on) => on.jo.join({ last: 10 }),
      ],
      told: { ann: 'ok@0 b1 a1 a3', bob: 'ok@0/0 b1 a3', jo: 'ok@0/0 b1 a3' },
    },
    'are not given either where the store has nothing else': {
      world: { rule, maxBackpressure: 100_000 },
      steps: [
        (on) => on.ann.join(),
        from('pub', 0, 'a1'),
        (on) => (on.port.losing = 1),
        from('pub', 5000, 'a2'),
        (on) => on.port.resume(),
        (on) => on.bob.join({ last: 10 }),
      ],
      told: { ann: 'ok@0 a1', bob: 'ok@0/0' },
    },
    'reach members also when the store counts from less than before': {
      world: { rule },
      steps: [
        from('pub', 0, 'a1', 'b1'),
        (on) => on.ann.join({ last: 10 }),
        (on) => on.world.pass(60_000),
        (on) => on.store.turnBack(),
        from('pub', 0, 'a2', 'a3'),
        (on) => on.bob.join({ last: 10 }),
      ],
      told: { ann: 'ok@0/0 a1 b1 a2 a3', bob: 'ok@0/0 a3' },
    },
    'outlive a store that lost them': {
      world: { rule },
      steps: [
        (on) => on.ann.join(),
        from('pub', 0, 'a1', 'b1'),
        (on) => on.store.flush(),
        from('pub', 0, 'b2'),
        (on) => on.port.resume(),
        (on) => on.bob.join({ last: 10 }),
        (on) => on.cyd.join({ last: 10 }),
      ],
      told: { ann: 'ok@0 a1 b1 b2', bob: 'ok@0/0 a1 b2', cyd: 'ok@0/0 b2' },
    },
    'that are on their way while the node reads again are told once': {
      world: { rule },
      steps: [
        (on) => on.ann.join(),
        from('pub', 0, 'a1'),
        (on) => (on.port.losing = 1),
        from('pub', 0, 'b1'),
        (on) => on.port.delay(),
        from('pub', 0, 'a2'),
        (on) => on.port.resume(),
        (on) => on.bob.join({ last: 10 }),
        (on) => on.port.arriveAll(),
        from('pub', 0, 'a3'),
      ],
      told: { ann: 'ok@0 a1 a2 a3', bob: 'ok@0/0 b1 a2 a3' },
    },
    'that were missed are not told after newer ones': {
      world: { rule, maxBackpressure: 300 },
      steps: [
        (on) => on.ann.join(),
        from('pub', 0, 'a1'),
        (on) => (on.port.losing = 1),
        from('pub', 0, 'b1'),
        (on) => on.ann.socket.stall(),
        from('pub', 200, 'c1', 'c2', 'c3', 'c4'),
        (on) => on.port.resume(),
        (on) => on.ann.socket.read(),
        (on) => on.bob.join({ last: 10 }),
      ],
      told: { ann: 'ok@0 a1 c1 c2 c3 c4', bob: 'ok@0/0 a1 b1 c4' },
    },
    'that were missed are told to who is behind and has nothing newer': {
      world: { rule, maxBackpressure: 300 },
      steps: [
        (on) => on.ann.join(),
        (on) => on.ann.socket.stall(),
        from('pub', 200, 'c1', 'c2', 'c3', 'a1'),
        (on) => (on.port.losing = 1),
        from('pub', 0, 'a2'),
        from('pub', 200, 'd1'),
        (on) => on.port.resume(),
        (on) => on.ann.socket.read(),
        (on) => on.bob.join({ last: 10 }),
      ],
      told: { ann: 'ok@0 c1 c2 c3 a2 d1', bob: 'ok@0/0 c3 a2 d1' },
    },
    'that were missed last are told to who is behind': {
      world: { rule, maxBackpressure: 300 },
      steps: [
        (on) => on.ann.join(),
        (on) => on.ann.socket.stall(),
        from('pub', 200, 'c1', 'c2', 'c3', 'c4'),
        (on) => (on.port.losing = 1),
        from('pub', 0, 'b1'),
        (on) => on.port.resume(),
        (on) => on.ann.socket.read(),
      ],
      told: { ann: 'ok@0 c1 c2 c3 c4 b1' },
    },
    'that were missed are read again where that failed': {
      world: { rule },
      steps: [
        (on) => on.ann.join(),
        (on) => (on.port.losing = 1),
        from('pub', 0, 'a1'),
        (on) => on.port.reads.fail(1 + PERSONAL),
        (on) => on.port.resume(),
        (on) => on.world.pass(1_000),
        (on) => on.bob.join({ last: 10 }),
      ],
      told: { ann: 'ok@0', bob: 'ok@0/0 a1' },
    },
    'that were missed while the node began to hear the room are known': {
      world: { rule },
      steps: [
        (on) => on.port.answers.shut(),
        (on) => on.ann.join({ last: 10 }),
        // The position is known now, and the messages are on their way.
        (on) => [on.port.answers.open(), on.port.answers.shut()],
        (on) => (on.port.losing = 1),
        from('pub', 0, 'a1'),
        (on) => on.port.resume(),
        (on) => on.port.answers.open(),
        (on) => on.bob.join({ last: 10 }),
      ],
      told: { ann: 'ok@0/0', bob: 'ok@0/0 a1' },
    },
    'that were missed twice are known after the second time': {
      world: { rule },
      steps: [
        (on) => on.ann.join(),
        (on) => on.port.answers.shut(),
        (on) => on.port.resume(),
        (on) => (on.port.losing = 1),
        from('pub', 0, 'a1'),
        (on) => on.port.resume(),
        (on) => on.port.answers.open(),
        (on) => on.bob.join({ last: 10 }),
      ],
      told: { bob: 'ok@0/0 a1' },
    },
    'are dropped when they are too old': {
      world: { rule: { history: { messages: 0, ageMs: 5000 } } },
      steps: [
        (on) => on.ann.join(),
        from('pub', 0, 'a1'),
        (on) => on.world.pass(3000),
        from('pub', 0, 'b1'),
        (on) => on.world.pass(3000),
        (on) => on.bob.join({ last: 10 }),
      ],
      told: { bob: 'ok@0/0 b1' },
    },
    'are not kept where they are large, and neither is what they replaced': {
      world: { rule, maxBackpressure: 100_000 },
      steps: [
        (on) => on.ann.join(),
        from('pub', 0, 'a1', 'b1'),
        from('pub', 5000, 'a2'),
        (on) => on.bob.join({ last: 10 }),
        from('pub', 0, 'a3'),
        (on) => on.jo.join({ last: 10 }),
      ],
      told: { ann: 'ok@0 a1 b1 a2 a3', bob: 'ok@0/0 b1 a3', jo: 'ok@0/0 b1 a3' },
    },
    'are not told to a publisher that asked for no echo': {
      world: { rule, maxBackpressure: 300 },
      steps: [
        (on) => [on.ann.join(), on.bob.join()],
        (on) => [on.ann.socket.stall(), on.bob.socket.stall()],
        from('pub', 200, 'a1', 'a2', 'a3'),
        (on) => on.ann.send(['publish', 0, ROOM, 'x', { conflateKey: 'x', echo: false }]),
        (on) => [on.ann.socket.read(), on.bob.socket.read()],
      ],
      told: { ann: 'ok@0 a1 a2 a3', bob: 'ok@0 a1 a2 a3 x' },
    },
    'are not told to it by a node that reads them either, whatever it published since': {
      world: { rule },
      steps: [
        (on) => on.ann.send(['publish', 0, ROOM, 'x1', { conflateKey: 'x', echo: false }]),
        (on) => (on.port.refusing = 1),
        (on) => on.ann.send(['publish', 0, ROOM, 'x2', { conflateKey: 'x', echo: false }]),
        (on) => on.ann.join({ last: 10 }),
        (on) => on.bob.join({ last: 10 }),
      ],
      told: { ann: 'error:unavailable ok@0/0', bob: 'ok@0/0 x1' },
    },
  });
});
