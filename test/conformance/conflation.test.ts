/** Conflation on every backplane: what a backplane keeps for it, and what members of a node are told. */
import { describe, expect, it } from 'vitest';
import type { Backplane, NewestPage } from '../../src/backplane/backplane.ts';
import type { HistoryPolicy } from '../../src/backplane/history-policy.ts';
import { KEPT_FRAME_BYTES, KEPT_KEYS } from '../../src/backplane/newest-messages.ts';
import type { RoomRule } from '../../src/config/room-rule.ts';
import type { Running } from '../support/backplanes.ts';
import { KEPT, OFFSET_AT, type Settled, tinyFrame } from '../support/frames.ts';
import { type Device, LocalNode } from '../support/local-node.ts';
import { useBackplanes } from '../support/use-backplanes.ts';
import { waitFor } from '../support/wait.ts';

const used = useBackplanes({ cluster: 'long' });

const UNKEPT: HistoryPolicy = { messages: 0, ageMs: 60_000 };

interface Wish {
  readonly id?: string;
  readonly key?: string;
  readonly exclude?: number;
  readonly history?: HistoryPolicy;
}

/** `id`: up to eight characters. */
function publish(
  to: Backplane,
  text: string,
  { id, key, exclude = 0, history = UNKEPT }: Wish,
): Promise<Settled> {
  return new Promise((resolve) => {
    to.publish({
      room: 'room',
      history,
      frame: tinyFrame(text),
      offsetAt: OFFSET_AT,
      key: key ?? null,
      exclude,
      conflation: id === undefined ? null : Buffer.from(id.padEnd(8, '.')),
      settled: (error, epoch, offset, duplicate) => resolve({ error, epoch, offset, duplicate }),
    });
  });
}

const HEAD_BYTES = tinyFrame('').length;
const textsIn = ({ messages }: NewestPage) =>
  messages.map(({ id, frame }) => `${id[0]}=${frame.toString('utf8', HEAD_BYTES)}`);

describe.each(used.factories)('conflation on the %s backplane', (_kind, startOne) => {
  async function start(): Promise<Running> {
    const running = await startOne();
    used.open.push(running.backplane);
    await running.backplane.subscribe('room');
    return running;
  }

  it('ids travel with the frames, beside excluded connections, and are stored with them', async () => {
    const { backplane, heard } = await start();
    await Promise.all([
      publish(backplane, '1', { id: 'a', history: KEPT }),
      publish(backplane, '2', { exclude: 7, history: KEPT }),
      publish(backplane, '3', { id: 'b', exclude: 9, history: KEPT }),
    ]);
    const [live] = await heard.untilMessages('room', 3);
    expect([0, 1, 2].map((i) => live!.conflation(i))).toEqual(['a.......', '', 'b.......']);
    expect([0, 1, 2].map((i) => live!.excluded(i))).toEqual([0, 7, 9]);
    const { envelopes } = await backplane.read('room', KEPT, { limit: 10 });
    expect(envelopes.map(({ bytes }) => bytes.toString('hex'))).toEqual([live!.bytes.toString('hex')]);
    expect(await backplane.readNewest!('room', UNKEPT)).toMatchObject({ messages: [] });
  });

  it('ids stay with their frames where duplicates are taken out', async () => {
    const { backplane, heard } = await start();
    await publish(backplane, '1', { id: 'a', key: 'k', history: KEPT });
    await Promise.all([
      publish(backplane, '2', { id: 'b', history: KEPT }),
      publish(backplane, '1', { id: 'c', key: 'k', exclude: 5, history: KEPT }),
      publish(backplane, '3', { id: 'd', history: KEPT }),
    ]);
    const [, second] = await heard.untilMessages('room', 3);
    expect([0, 1].map((i) => second!.conflation(i))).toEqual(['b.......', 'd.......']);
  });

  it('a room without history keeps the newest message of each id, in order', async () => {
    const { backplane, heard } = await start();
    await Promise.all([
      publish(backplane, '1', { id: 'a' }),
      publish(backplane, '2', { id: 'b' }),
      publish(backplane, '3', {}),
      publish(backplane, '4', { id: 'a' }),
    ]);
    await publish(backplane, '5', { id: 'c', exclude: 4 });
    await publish(backplane, '6', { id: 'b', key: 'k' });
    expect(await publish(backplane, '7', { id: 'x', key: 'k' })).toMatchObject({ duplicate: true });
    const page = await backplane.readNewest!('room', UNKEPT);
    expect(textsIn(page)).toEqual(['a=4', 'c=5', 'b=6']);
    const envelopes = await heard.untilMessages('room', 6);
    expect(envelopes.at(-1)!.mark).toBe(page.mark);
    // Those of a=4, c=5 and b=6: the first call may have sent one envelope, or several.
    const [a, ...others] = page.messages.map(({ mark }) => mark);
    expect(others).toEqual(envelopes.slice(-2).map(({ mark }) => mark));
    expect(a).toBe(envelopes.at(-3)!.mark);
    const marks = envelopes.map(({ mark }) => mark);
    expect(marks).toEqual([...marks].sort((a, b) => a - b));
    expect(marks[0]).toBeGreaterThan(0);
    expect(envelopes.every(({ first, epoch }) => first === 0 && epoch === '')).toBe(true);
  });

  it('a room without history keeps a bounded number of ids, those that changed last, and small frames only', async () => {
    const { backplane } = await start();
    const many = Array.from({ length: KEPT_KEYS * 2 }, (_, i) =>
      publish(backplane, `${i}`, { id: String(i) }),
    );
    await Promise.all(many);
    await publish(backplane, 'large'.padEnd(KEPT_FRAME_BYTES + 1, '.'), { id: 'large' });
    const { messages } = await backplane.readNewest!('room', UNKEPT);
    expect(messages.length).toBeGreaterThanOrEqual(KEPT_KEYS);
    expect(messages.length).toBeLessThanOrEqual(KEPT_KEYS * 1.125);
    const newest = messages.slice(-KEPT_KEYS).map(({ frame }) => Number(frame.toString('utf8', HEAD_BYTES)));
    expect(newest).toEqual(Array.from({ length: KEPT_KEYS }, (_, i) => KEPT_KEYS + i));
  });

  it('a room without history does not keep what a message replaced that is too large to be kept', async () => {
    const { backplane } = await start();
    const large = 'large'.padEnd(KEPT_FRAME_BYTES + 1, '.');
    await publish(backplane, '1', { id: 'a' });
    await publish(backplane, '2', { id: 'b' });
    await publish(backplane, large, { id: 'a' });
    expect(textsIn(await backplane.readNewest!('room', UNKEPT))).toEqual(['b=2']);
    await Promise.all([
      publish(backplane, '3', { id: 'b' }),
      publish(backplane, large, { id: 'b' }),
      publish(backplane, large, { id: 'c' }),
      publish(backplane, '4', { id: 'c' }),
    ]);
    expect(textsIn(await backplane.readNewest!('room', UNKEPT))).toEqual(['c=4']);
  });

  it('a room without history forgets what is too old', async () => {
    const { backplane } = await start();
    await publish(backplane, '1', { id: 'a' });
    const young: HistoryPolicy = { messages: 0, ageMs: 80 };
    const texts = async () => textsIn(await backplane.readNewest!('room', young));
    await waitFor(async () => (await texts()).length === 0, { for: 'the message to age' });
    await publish(backplane, '2', { id: 'b' });
    expect(textsIn(await backplane.readNewest!('room', UNKEPT))).toContain('b=2');
  });

  it('what was published before is heard before that is answered', async () => {
    const { backplane, heard } = await start();
    await Promise.all([publish(backplane, '1', { id: 'a' }), publish(backplane, '2', {})]);
    await backplane.readNewest!('room', UNKEPT);
    await backplane.heard?.('room');
    expect(heard.messages('room')).toBe(2);
  });

  it('a room that nobody used has none', async () => {
    const { backplane } = await start();
    expect(await backplane.readNewest!('other', UNKEPT)).toEqual({ mark: 0, messages: [] });
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
      room.startsWith('live') ? { ...RULE, history: UNKEPT } : RULE,
    );
    await test(local).finally(() => local.close());
  }

  /** Data of messages, gaps in words. */
  const told = (device: Device) =>
    device.frames.flatMap((frame) => {
      if (frame[0] === 'message') return [frame[5]];
      return frame[0] === 'gap' ? [`${frame[4]} ${frame[2]}-${frame[3]}`] : [];
    });

  async function say(local: LocalNode<Backplane>, room: string): Promise<void> {
    const [ann, bob] = [local.device('ann'), local.device('bob')];
    let id = 0;
    for (const [from, data, conflateKey] of [
      [ann, 'ann 1', 'cursor'],
      [bob, 'bob 1', 'cursor'],
      [ann, 'ann 2', 'cursor'],
      [ann, 'hat', 'hat'],
      [ann, 'ann 3', 'cursor'],
    ] as const) {
      const one = ++id;
      from.send(['publish', one, room, data, { conflateKey }]);
      await waitFor(() => from.frames.some((frame) => frame[0] === 'ok' && frame[1] === one));
    }
  }

  it.each([
    ['room', ['bob 1', 'replaced 3-3', 'hat', 'ann 3'], { offset: 5, from: 1 }],
    ['live', ['bob 1', 'hat', 'ann 3'], { offset: 0, from: 0 }],
  ])('in %s a new member gets the newest of each key and sender', (room, expected, result) =>
    withNode(async (local) => {
      await say(local, room);
      for (const encoding of ['msgpack', 'json'] as const) {
        const cyd = local.device('cyd', encoding);
        cyd.send(['join', 100, room, { last: 3 }]);
        await waitFor(() => told(cyd).includes('ann 3'));
        expect(told(cyd)).toEqual(expected);
        expect(cyd.frames.find((frame) => frame[0] === 'ok')![2]).toMatchObject(result);
      }
    }),
  );

  it('anonymous connections have keys of their own, and the server API has its', () =>
    withNode(async (local) => {
      const [one, other] = [local.device(null), local.device(null)];
      one.send(['publish', 1, 'room', 'one', { conflateKey: 'k' }]);
      await waitFor(() => one.frames.length > 0);
      other.send(['publish', 1, 'room', 'other', { conflateKey: 'k' }]);
      await waitFor(() => other.frames.length > 0);
      for (const data of [1, 2]) {
        await new Promise<void>((published, failed) =>
          local.node.server.publish(
            { room: 'room', data: Uint8Array.of(data), key: null, conflateKey: 'k' },
            { published: () => published(), failed },
          ),
        );
      }
      const cyd = local.device('cyd');
      cyd.send(['join', 100, 'room', { last: 10 }]);
      await waitFor(() => told(cyd).includes(2));
      expect(told(cyd)).toEqual(['one', 'other', 'replaced 3-3', 2]);
    }));

  it('a message that its publisher wants no echo of is left out, and is not told to be replaced', () =>
    withNode(async (local) => {
      const ann = local.device('ann');
      for (const [i, [data, options]] of Object.entries([
        ['a 1', { conflateKey: 'a' }],
        ['unechoed', { echo: false }],
        ['b 1', { conflateKey: 'b' }],
        ['a 2', { conflateKey: 'a' }],
        ['b 2', { conflateKey: 'b' }],
      ] as const))
        ann.send(['publish', Number(i) + 1, 'room', data, options]);
      await waitFor(() => ann.frames.length === 5);
      ann.send(['join', 100, 'room', { last: 10 }]);
      await waitFor(() => told(ann).includes('b 2'));
      expect(told(ann)).toEqual(['replaced 1-1', 'replaced 3-3', 'a 2', 'b 2']);
    }));
});
