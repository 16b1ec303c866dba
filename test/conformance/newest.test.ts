/** Joins with the newest messages, gaps and personal rooms on every backplane: a node of its own over each. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Backplane } from '../../src/backplane/backplane.ts';
import type { RoomRule } from '../../src/config/room-rule.ts';
import type { JoinResult } from '../../src/protocol/frames.ts';
import { type Device, LocalNode } from '../support/local-node.ts';
import { useBackplanes } from '../support/use-backplanes.ts';
import { waitFor } from '../support/wait.ts';

const RULE: RoomRule = {
  history: { messages: 20, ageMs: 60_000 },
  presence: false,
  memberEvents: false,
  join: 'anyone',
  publish: 'anyone',
  acks: null,
  presenceData: true,
  slowReaders: 'resume',
};
const NODE = 'node0001';

const used = useBackplanes({ cluster: 'long' });
const locals: LocalNode<Backplane>[] = [];

afterEach(async () => {
  for (const local of locals.splice(0)) await local.close();
});

describe.each(used.makers)('on the %s backplane', (_kind, make) => {
  let local: LocalNode<Backplane>;

  async function device(user: string): Promise<Device> {
    if (locals.length === 0) {
      local = await LocalNode.on(make(NODE), NODE, (room) =>
        room.startsWith('live') ? { ...RULE, history: { messages: 0, ageMs: 60_000 } } : RULE,
      );
      locals.push(local);
    }
    return local.device(user);
  }

  async function publish(from: Device, room: string, count: number): Promise<void> {
    for (let n = 1; n <= count; n++) {
      from.send(['publish', n, room, n]);
      await waitFor(() => from.frames.filter(([type]) => type === 'ok').length >= n);
    }
  }

  async function join(one: Device, room: string, options: object): Promise<JoinResult> {
    one.send(['join', 100, room, options]);
    await waitFor(() => one.frames.some((frame) => frame[0] === 'ok' && frame[1] === 100));
    const ok = one.frames.find((frame) => frame[0] === 'ok' && frame[1] === 100)!;
    return ok[2] as JoinResult;
  }

  /** Messages by number, gaps and resets in words. */
  const told = (one: Device) =>
    one.frames.flatMap((frame) => {
      if (frame[0] === 'message') return [frame[5]];
      if (frame[0] === 'gap') return [`${frame[4]} to ${frame[3]}`];
      return frame[0] === 'reset' ? [`reset ${frame[3]}`] : [];
    });

  it('the newest messages follow the reply, then the live ones', async () => {
    const [pub, ann] = [await device('pub'), await device('ann')];
    await publish(pub, 'room', 6);
    expect(await join(ann, 'room', { last: 2 })).toMatchObject({ offset: 6, from: 4, recovered: false });
    pub.send(['publish', 0, 'room', 'live']);
    await waitFor(() => told(ann).includes('live'));
    expect(told(ann)).toEqual([5, 6, 'live']);
  });

  it('asking for none, for too many, and in a room without history gives what there is', async () => {
    const [pub, ann, bob, cyd] = [
      await device('pub'),
      await device('ann'),
      await device('bob'),
      await device('cyd'),
    ];
    await publish(pub, 'room', 3);
    expect(await join(ann, 'room', { last: 0 })).toMatchObject({ offset: 3, from: 3 });
    expect(await join(bob, 'room', { last: 1_000_000 })).toMatchObject({ offset: 3, from: 0 });
    expect(await join(cyd, 'live', { last: 5 })).toEqual({ epoch: '', offset: 0, recovered: false, from: 0 });
    await waitFor(() => told(bob).length === 3);
    expect([told(ann), told(bob), told(cyd)]).toEqual([[], [1, 2, 3], []]);
  });

  it('what is gone and what is left out of what was missed are named in order', async () => {
    const [pub, ann] = [await device('pub'), await device('ann')];
    await publish(pub, 'room', 60);
    const { epoch } = await local.backplane.read('room', RULE.history, { limit: 0 });
    expect(await join(ann, 'room', { since: [epoch, 1], last: 3 })).toMatchObject({
      from: 57,
      recovered: false,
    });
    await waitFor(() => told(ann).length === 5);
    expect(told(ann)).toEqual([expect.stringMatching(/^expired to /), 'limited to 57', 58, 59, 60]);
  });

  it('a position of an epoch that is over is reset to the newest messages', async () => {
    const [pub, ann] = [await device('pub'), await device('ann')];
    await publish(pub, 'room', 5);
    expect(await join(ann, 'room', { since: ['epoch000', 4], last: 2 })).toMatchObject({ from: 3 });
    await waitFor(() => told(ann).length === 3);
    expect(told(ann)).toEqual(['reset 3', 4, 5]);
  });

  it('a personal room is resumed where its user left off', async () => {
    const ann = await device('ann');
    const room = '$user:ann';
    expect(await join(ann, room, { resume: true })).toMatchObject({ offset: 0, acked: 0 });
    const said = (data: number) =>
      new Promise<void>((published, failed) =>
        local.node.server.publish(
          { room, data: Uint8Array.of(data), key: null },
          { published: () => published(), failed },
        ),
      );
    for (const n of [1, 2, 3]) await said(n);
    const { epoch } = await local.backplane.read(room, RULE.history, { limit: 0 });
    ann.send(['ack', 7, room, [epoch, 1]]);
    await waitFor(() => ann.frames.some((frame) => frame[0] === 'ok' && frame[1] === 7));
    const later = await device('ann');
    expect(await join(later, room, { resume: true, last: 1 })).toMatchObject({ from: 2, acked: 1 });
    await waitFor(() => told(later).length === 2);
    expect(told(later)).toEqual(['limited to 2', 3]);
  });
});
