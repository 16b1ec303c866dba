/** Signals reach who is there, in their publisher's order, and nobody else. */
import { describe, expect } from 'vitest';
import { ROOM } from '../support/world.ts';
import { play } from './scenarios.ts';

describe('a signal', () => {
  play({
    'reaches every member on every node in both encodings, in order with the messages': {
      steps: [
        (on) => [on.ann.join(), on.jo.join(), on.cyd.join()],
        (on) => on.pub.send(on.pub.publishFrame(1), on.pub.signalFrame('s'), on.pub.publishFrame(2)),
        (on) => on.ann.send(on.ann.signalFrame('a'), on.ann.publishFrame(3), on.ann.signalFrame('b')),
      ],
      told: {
        ann: 'ok@0 1 ~s 2 ~a 3 ~b',
        jo: 'ok@0 1 ~s 2 ~a 3 ~b',
        cyd: 'ok@0 1 ~s 2 ~a 3 ~b',
      },
      also: (on) => {
        expect(on.store.room(ROOM)).toMatchObject({ offset: 3 });
        expect(on.node.metrics.messages).toMatchObject({ signals: { client: 2 }, accepted: { client: 3 } });
      },
    },
    'is not told to its publisher where that asked for no echo': {
      steps: [
        (on) => [on.ann.join(), on.bob.join()],
        (on) => on.ann.send(on.ann.signalFrame('a', 0, false), on.ann.publishFrame(1)),
      ],
      told: { ann: 'ok@0 1', bob: 'ok@0 ~a 1' },
    },
    'works in a room without history': {
      world: { rule: { history: { messages: 0, ageMs: 60_000 } } },
      steps: [
        (on) => [on.ann.join(), on.cyd.join()],
        (on) => on.pub.send(on.pub.publishFrame('m'), on.pub.signalFrame('s'), on.pub.publishFrame('n')),
      ],
      told: { ann: 'ok@0 m ~s n', cyd: 'ok@0 m ~s n' },
    },
    'is nothing for who joins later, whatever the join asks for': {
      steps: [
        (on) => on.pub.send(on.pub.publishFrame(1), on.pub.signalFrame('s'), on.pub.publishFrame(2)),
        (on) => on.ann.join({ last: 10 }),
        (on) => on.bob.joinSince(0),
      ],
      told: { ann: 'ok@2/0 1 2', bob: 'ok@2+ 1 2' },
    },
    'is missed without a gap by a member that reads too slowly': {
      world: { maxBackpressure: 300 },
      steps: [
        (on) => [on.ann.join(), on.bob.join()],
        (on) => on.ann.socket.stall(),
        (on) => on.pub.publishBig(200, 1),
        (on) => on.pub.publishBig(200, 2),
        (on) => on.pub.send(on.pub.signalFrame('s', 200)),
        (on) => on.pub.publishBig(200, 3),
        (on) => on.pub.send(on.pub.signalFrame('t', 200)),
        (on) => on.ann.socket.read(),
        (on) => on.pub.send(on.pub.signalFrame('u')),
      ],
      told: { ann: 'ok@0 1 2 3 ~u', bob: 'ok@0 1 2 ~s 3 ~t ~u' },
    },
  });
});

describe('a signal among messages that a node missed', () => {
  play({
    'keeps its place: it is left out where a later message was read before it': {
      steps: [
        (on) => on.ann.join(),
        (on) => (on.port.losing = 1),
        (on) => on.pub.publish(1),
        (on) => on.port.reads.shut(),
        (on) => on.pub.publish(2),
        (on) => on.pub.send(on.pub.signalFrame('s')),
        (on) => on.pub.publish(3),
        (on) => on.pub.send(on.pub.signalFrame('t')),
        (on) => on.port.reads.open(),
        (on) => on.pub.send(on.pub.signalFrame('u')),
      ],
      told: { ann: 'ok@0 1 2 3 ~t ~u' },
    },
    'is left out where the message after it arrives later than it was read': {
      steps: [
        (on) => on.ann.join(),
        (on) => on.port.delay(),
        (on) => on.pub.send(on.pub.signalFrame('s'), on.pub.publishFrame(1), on.pub.signalFrame('t')),
        (on) => on.port.resume(),
        (on) => on.port.arriveAll(),
      ],
      told: { ann: 'ok@0 1 ~t' },
    },
    'shows that one is missing, and waits for it': {
      steps: [
        (on) => on.ann.join(),
        (on) => (on.port.losing = 1),
        (on) => on.pub.publish(1),
        (on) => on.pub.send(on.pub.signalFrame('s')),
      ],
      // Reading what is missing takes the place of what waited, and it is not sent again.
      told: { ann: 'ok@0 1' },
      also: (on) => expect(on.node.metrics.recovery).toMatchObject({ holes: 1, holesFilled: 1 }),
    },
    'that arrives while they are read waits for them': {
      steps: [
        (on) => on.ann.join(),
        (on) => (on.port.losing = 1),
        (on) => on.pub.publish(1),
        (on) => on.port.reads.shut(),
        (on) => on.port.resume(),
        (on) => on.pub.send(on.pub.signalFrame('s')),
        (on) => on.port.reads.open(),
        (on) => on.pub.send(on.pub.signalFrame('t')),
      ],
      told: { ann: 'ok@0 1 ~s ~t' },
    },
    'that is from an epoch that is over is left out': {
      steps: [
        (on) => on.ann.join(),
        (on) => on.pub.publish(1, 2),
        (on) => on.port.delay(),
        (on) => on.pub.send(on.pub.signalFrame('s')),
        (on) => on.store.failOver(ROOM, 1),
        (on) => on.port.resume(),
        (on) => on.port.arriveAll(),
        (on) => on.pub.send(on.pub.signalFrame('t'), on.pub.publishFrame(3)),
      ],
      told: { ann: 'ok@0 1 2 reset@1 ~t 3' },
    },
    'that arrives while a feed opens follows the reply to its join': {
      steps: [
        (on) => on.pub.publish(1),
        (on) => on.port.reads.shut(),
        (on) => on.ann.join(),
        (on) => on.pub.send(on.pub.signalFrame('s'), on.pub.publishFrame(2), on.pub.signalFrame('t')),
        (on) => on.port.reads.open(),
        (on) => on.pub.send(on.pub.signalFrame('u')),
      ],
      told: { ann: 'ok@2 ~t ~u' },
    },
  });
});
