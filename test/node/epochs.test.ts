/** A numbering that is over: members are told where they stand in the new one, and no message is taken for another. */
import { describe, expect } from 'vitest';
import { ROOM } from '../support/world.ts';
import { play, type Step } from './scenarios.ts';

const four: Step = async (on) => {
  for (let n = 1; n <= 4; n++) {
    on.pub.publish(n);
    await on.world.settle();
  }
};

describe('a store that lost its newest messages', () => {
  play({
    'and knows it: members are reset at the last one that is the same': {
      steps: [
        (on) => [on.ann.join(), on.jo.join(), on.cyd.join()],
        four,
        (on) => on.store.failOver(ROOM, 2),
        (on) => on.pub.publish('a'),
      ],
      told: {
        ann: 'ok@0 1 2 3 4 reset@2 a',
        jo: 'ok@0 1 2 3 4 reset@2 a',
        cyd: 'ok@0 1 2 3 4 reset@2 a',
      },
    },
    'and does not: a node that saw them starts a new epoch': {
      steps: [
        (on) => on.ann.join(),
        four,
        (on) => on.store.loseNewest(ROOM, 2),
        (on) => on.port.resume(),
        (on) => on.pub.publish('a'),
      ],
      told: { ann: 'ok@0 1 2 3 4 reset@2 a' },
    },
    'and gave their numbers to others before a node looked: nothing is taken for what it is not': {
      steps: [
        (on) => on.ann.join(),
        four,
        (on) => on.store.loseNewest(ROOM, 2),
        (on) => on.pub.publish('a', 'b'),
        (on) => on.port.resume(),
        (on) => on.pub.publish('c'),
      ],
      told: { ann: 'ok@0 1 2 3 4 reset@2 a b c' },
    },
    'lost all: members are reset at 0': {
      steps: [(on) => on.ann.join(), four, (on) => on.store.flush(), (on) => on.pub.publish('a')],
      told: { ann: 'ok@0 1 2 3 4 reset@0 a' },
    },
    'lost all, and nobody publishes: a check finds it': {
      steps: [(on) => on.ann.join(), four, (on) => on.store.flush(), (on) => on.port.resume()],
      told: { ann: 'ok@0 1 2 3 4 reset@0' },
    },
    'lost what was held while a hole was read': {
      steps: [
        (on) => on.ann.join(),
        (on) => on.pub.publish(1),
        (on) => (on.port.losing = 1),
        (on) => on.pub.publish(2),
        (on) => on.port.reads.shut(),
        (on) => on.pub.publish(3),
        (on) => on.store.loseNewest(ROOM, 2),
        (on) => on.port.reads.open(),
        (on) => on.pub.publish('a'),
      ],
      told: { ann: 'ok@0 1 reset@1 a' },
    },
    'and does not answer at first: the reset comes when it does': {
      steps: [
        (on) => on.ann.join(),
        four,
        (on) => on.store.failOver(ROOM, 1),
        (on) => on.port.reads.fail(1),
        (on) => on.pub.publish('a'),
        (on) => expect(on.ann.told()).toBe('ok@0 1 2 3 4'),
        (on) => on.world.pass(6000),
        (on) => on.pub.publish('b'),
      ],
      told: { ann: 'ok@0 1 2 3 4 reset@3 a b' },
    },
  });
});

describe('a new epoch', () => {
  play({
    'during the read of a join: the join is reset, not failed': {
      steps: [
        four,
        (on) => on.bob.join(),
        (on) => on.port.reads.shut(),
        (on) => on.ann.joinSince(1),
        (on) => on.store.failOver(ROOM, 1),
        (on) => on.port.reads.open(),
        (on) => on.world.pass(500),
        (on) => on.pub.publish('a'),
      ],
      told: { ann: 'ok@3 reset@0 1 2 3 a', bob: 'ok@4 reset@0 1 2 3 a' },
    },
    'that the node learns of during the read of a join: nothing of it is taken for what was missed': {
      steps: [
        four,
        (on) => on.store.trim(ROOM, 0),
        (on) => on.bob.join(),
        (on) => on.port.reads.shut(),
        (on) => on.ann.joinSince(1),
        // The node has none of it in its memory, and finds nothing for that; so it asks for a page.
        (on) => on.port.reads.openOne(),
        (on) => on.store.flush(),
        (on) => on.pub.publish('a', 'b', 'c'),
        // What the room has now, and then all of it.
        (on) => on.port.reads.openOne(1),
        (on) => on.port.reads.openOne(1),
        (on) => on.port.reads.open(),
        (on) => on.world.pass(500),
        (on) => on.pub.publish('d'),
      ],
      told: { ann: 'ok@3 reset@0 a b c d', bob: 'ok@4 reset@0 a b c d' },
    },
    'in the turn in which a member joins: the reply has the new one, and no reset follows it': {
      steps: [
        (on) => on.bob.join(),
        four,
        (on) => on.store.failOver(ROOM, 1),
        (on) => on.port.reads.shut(),
        (on) => on.pub.publish('a'),
        async (on) => {
          on.port.reads.open();
          // The reset is pending when the join comes.
          await new Promise(setImmediate);
          on.ann.join();
          on.cyd.join();
        },
        (on) => on.pub.publish('b'),
      ],
      told: { bob: 'ok@0 1 2 3 4 reset@3 a b', ann: 'ok@4 b' },
    },
    'is not new to who has had nothing: a join at 0 of an epoch that is over gets all, and no reset': {
      steps: [
        (on) => on.ann.join(),
        (on) => on.ann.leave(),
        (on) => on.store.flush(),
        (on) => on.pub.publish(1, 2),
        (on) => on.cyd.join({ since: ['epoch001', 0] }),
        (on) => on.pub.publish(3),
      ],
      told: { cyd: 'ok@2+ 1 2 3' },
    },
    'after a flush is joined with a position of the old one': {
      steps: [
        four,
        (on) => on.bob.join(),
        (on) => on.ann.joinSince(4),
        (on) => on.ann.leave(),
        (on) => on.store.flush(),
        (on) => on.pub.publish('a'),
        (on) => on.ann.join({ since: ['epoch001', 4] }),
        (on) => on.pub.publish('b'),
      ],
      told: { ann: 'ok@4+ left ok@1 reset@0 a b', bob: 'ok@4 reset@0 a b' },
    },
    'of what a node reads from a room of which it had nothing': {
      steps: [
        (on) => on.ann.join(),
        (on) => on.store.failOver(ROOM, 0),
        (on) => on.port.resume(),
        (on) => on.pub.publish(1),
      ],
      told: { ann: 'ok@0 reset@0 1' },
    },
  });
});
