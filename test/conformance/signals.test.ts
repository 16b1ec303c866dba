/** Signals on every backplane: what a backplane does with one, and what the members of a node are told. */
import { describe, expect, it } from 'vitest';
import type { Backplane } from '../../src/backplane/backplane.ts';
import { KEEPS_NOTHING } from '../../src/backplane/history-policy.ts';
import type { RoomRule } from '../../src/config/room-rule.ts';
import { buildSignalFrame, decodeRun } from '../../src/protocol/message-frame.ts';
import { packValue } from '../../src/protocol/msgpack/values.ts';
import type { Running } from '../support/backplanes.ts';
import { KEPT, publishTiny, type Settled, UNKEPT } from '../support/frames.ts';
import { type Device, LocalNode } from '../support/local-node.ts';
import { useBackplanes } from '../support/use-backplanes.ts';
import { waitFor } from '../support/wait.ts';

const used = useBackplanes();

function signal(to: Backplane, room: string, data: unknown, exclude = 0): Promise<Settled> {
  return new Promise((resolve) => {
    to.publish({
      room,
      history: KEEPS_NOTHING,
      ...buildSignalFrame(room, 1_700_000_000_000, 'ann', packValue(data)),
      key: null,
      exclude,
      settled: (error, epoch, offset, duplicate) => resolve({ error, epoch, offset, duplicate }),
    });
  });
}

describe.each(used.factories)('signals on the %s backplane', (_kind, startOne) => {
  async function start(): Promise<Running> {
    const running = await startOne();
    used.open.push(running.backplane);
    return running;
  }

  it('are sent as they are, with the publisher that is left out, and leave nothing behind', async () => {
    const { backplane, heard, nodeId } = await start();
    await backplane.subscribe('room');
    const settled = await Promise.all([signal(backplane, 'room', 'a'), signal(backplane, 'room', 'b', 7)]);
    expect(settled).toEqual([1, 2].map(() => ({ error: null, epoch: '', offset: 0, duplicate: false })));
    const [envelope] = await heard.untilMessages('room', 2);
    expect(envelope).toMatchObject({ isSignal: true, count: 2, first: 0, epoch: '', origin: nodeId });
    expect([0, 1].map((i) => envelope!.excluded(i))).toEqual([0, 7]);
    expect(decodeRun(envelope!.frames).map((frame) => frame[4])).toEqual(['a', 'b']);
    expect(await backplane.read('room', KEPT, { limit: 10 })).toEqual({
      epoch: '',
      offset: 0,
      envelopes: [],
    });
  });

  it('keep their place among the messages, and say after which one they were sent', async () => {
    const { backplane, heard } = await start();
    await backplane.subscribe('room');
    const doing: Promise<Settled>[] = [];
    for (let n = 1; n <= 60; n++) {
      // A key now and then: its batch takes another way through the script.
      doing.push(publishTiny(backplane, 'room', `${n}`, n % 10 === 0 ? { key: `k${n}` } : {}));
      doing.push(signal(backplane, 'room', n));
      if (n % 7 === 0) await new Promise(setImmediate);
    }
    const settled = await Promise.all(doing);
    expect(settled.filter(({ offset }) => offset > 0)).toHaveLength(60);
    const envelopes = await heard.untilMessages('room', 120);
    let offset = 0;
    for (const envelope of envelopes) {
      if (!envelope.isSignal) offset = envelope.last;
      else expect(envelope).toMatchObject({ sentAfter: offset, epoch: settled[0]!.epoch });
    }
    const signals = envelopes.filter(({ isSignal }) => isSignal).flatMap(({ frames }) => decodeRun(frames));
    expect(signals.map((frame) => frame[4])).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
    const page = await backplane.read('room', KEPT, { limit: 1000 });
    expect(page.offset).toBe(60);
    expect(page.envelopes.some(({ isSignal }) => isSignal)).toBe(false);
  });

  it('keep their place in a room without history too', async () => {
    const { backplane, heard } = await start();
    await backplane.subscribe('room');
    const doing: Promise<Settled>[] = [];
    for (let n = 1; n <= 20; n++) {
      doing.push(publishTiny(backplane, 'room', `${n}`, { history: UNKEPT }), signal(backplane, 'room', n));
    }
    await Promise.all(doing);
    const envelopes = await heard.untilMessages('room', 40);
    expect(envelopes.map(({ isSignal }) => isSignal)).toEqual(
      Array.from({ length: 40 }, (_, i) => i % 2 === 1),
    );
  });
});

const RULE: RoomRule = {
  history: { messages: 20, ageMs: 60_000 },
  presence: false,
  memberEvents: false,
  presenceData: true,
  join: 'anyone',
  publish: 'anyone',
  acks: null,
  slowReaders: 'resume',
};
const NODE = 'node0001';

describe.each(used.makers)('a node on the %s backplane', (_kind, make) => {
  async function withNode(test: (local: LocalNode<Backplane>) => Promise<void>): Promise<void> {
    const local = await LocalNode.on(make(NODE), NODE, (room) =>
      room.startsWith('live') ? { ...RULE, history: { messages: 0, ageMs: 60_000 } } : RULE,
    );
    await test(local).finally(() => local.close());
  }

  async function joined(local: LocalNode<Backplane>, room: string, user: string, json = false) {
    const device = local.device(user, json ? 'json' : 'msgpack');
    device.send(['join', 100, room]);
    await waitFor(() => device.frames.some((frame) => frame[0] === 'ok'));
    return device;
  }

  const told = (device: Device) =>
    device.frames.flatMap((frame) => {
      if (frame[0] === 'message') return [frame[5]];
      return frame[0] === 'signal' ? [`~${frame[4]}`] : [];
    });

  it.each(['room', 'live'])('tells members of %s in both encodings, and publishers the result', (room) =>
    withNode(async (local) => {
      const [ann, bob, jo] = [
        await joined(local, room, 'ann'),
        await joined(local, room, 'bob'),
        await joined(local, room, 'jo', true),
      ];
      ann.send(
        ['publish', 1, room, 'm'],
        ['publish', 2, room, 's', { ephemeral: true }],
        ['publish', 3, room, 't', { ephemeral: true }],
        ['publish', 4, room, 'n'],
      );
      await waitFor(() => [ann, bob, jo].every((device) => told(device).includes('n')));
      expect([ann, bob, jo].map((device) => told(device).join(' '))).toEqual(Array(3).fill('m ~s ~t n'));
      await waitFor(() => ann.frames.some((frame) => frame[0] === 'ok' && frame[1] === 4));
      expect(ann.frames.filter((frame) => frame[0] === 'ok' && frame[1] === 3)).toEqual([
        ['ok', 3, { epoch: '', offset: 0 }],
      ]);
      const signals = jo.frames.filter((frame) => frame[0] === 'signal');
      expect(signals[0]).toEqual(['signal', room, expect.any(Number), 'ann', 's']);
    }),
  );

  it('refuses a key', () =>
    withNode(async (local) => {
      const ann = local.device('ann');
      ann.send(['publish', 1, 'room', 1, { ephemeral: true, key: 'k' }]);
      await waitFor(() => ann.frames.length > 0);
      expect(ann.frames).toEqual([['error', 1, 'bad_request', expect.stringContaining('takes no key')]]);
    }));
});
