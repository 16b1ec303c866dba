/** What every backplane promises its node: one suite over memory, a Redis and a Redis Cluster. */
import { describe, expect, it } from 'vitest';
import type { Backplane } from '../../src/backplane/backplane.ts';
import type { Running, Times } from '../support/backplanes.ts';
import { framesOf, KEPT, publishTiny, type Settled, textsOf, tinyFrame, UNKEPT } from '../support/frames.ts';
import { useBackplanes } from '../support/use-backplanes.ts';
import { waitFor } from '../support/wait.ts';

const used = useBackplanes();

function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

function offsetsOf(results: readonly Settled[]): number[] {
  return results.map(({ offset }) => offset);
}

describe.each(used.factories)('the %s backplane', (_kind, startOne) => {
  async function start(times: Times = {}): Promise<Running> {
    const running = await startOne(times);
    used.open.push(running.backplane);
    return running;
  }

  function publishAll(backplane: Backplane, room: string, texts: readonly string[]): Promise<Settled[]> {
    return Promise.all(texts.map((text) => publishTiny(backplane, room, text)));
  }

  describe('order', () => {
    it('numbers the messages of a room from 1 on without a hole, in the order of the calls', async () => {
      const { backplane } = await start();
      const texts = numbers(1, 50).map(String);
      const results = await publishAll(backplane, 'room', texts);
      expect(offsetsOf(results)).toEqual(numbers(1, 50));
      expect(new Set(results.map(({ epoch }) => epoch)).size).toBe(1);
      expect(results[0]!.epoch).toMatch(/^[0-9a-z]{8}$/);
      const page = await backplane.read('room', KEPT, { limit: 100 });
      expect(textsOf(page.envelopes)).toEqual(texts);
    });

    it('numbers each of many interleaved rooms by itself', async () => {
      const { backplane } = await start();
      const rooms = numbers(0, 29).map((i) => `room:${i}`);
      const publishing = numbers(1, 20).flatMap((n) =>
        rooms.map((room) => publishTiny(backplane, room, `${n}`)),
      );
      const results = await Promise.all(publishing);
      rooms.forEach((_room, r) => {
        expect(offsetsOf(results.filter((_, i) => i % rooms.length === r))).toEqual(numbers(1, 20));
      });
    });

    it('keeps the order over batches that are made while others are under way', async () => {
      const { backplane, heard } = await start();
      await backplane.subscribe('room');
      const publishing: Promise<Settled>[] = [];
      for (let n = 1; n <= 200; n++) {
        publishing.push(publishTiny(backplane, 'room', `${n}`));
        if (n % 7 === 0) await new Promise(setImmediate);
      }
      expect(offsetsOf(await Promise.all(publishing))).toEqual(numbers(1, 200));
      const envelopes = await heard.untilMessages('room', 200);
      expect(textsOf(envelopes)).toEqual(numbers(1, 200).map(String));
    });

    it('splits what is too much for one envelope or one call, and loses nothing', async () => {
      const { backplane, heard } = await start();
      await backplane.subscribe('many');
      await backplane.subscribe('large');
      const many = publishAll(backplane, 'many', numbers(1, 12_000).map(String));
      const large = publishAll(
        backplane,
        'large',
        numbers(1, 30).map((n) => String(n).padEnd(100_000, '.')),
      );
      expect(offsetsOf(await many)).toEqual(numbers(1, 12_000));
      expect(offsetsOf(await large)).toEqual(numbers(1, 30));
      const small = (await heard.untilMessages('many', 12_000)).flatMap(framesOf);
      expect(small.map(({ text }) => text)).toEqual(numbers(1, 12_000).map(String));
      expect(small.map(({ offset }) => offset)).toEqual(numbers(1, 12_000));
      const wide = await heard.untilMessages('large', 30);
      expect(wide.flatMap(framesOf).map(({ offset }) => offset)).toEqual(numbers(1, 30));
      expect(Math.max(...wide.map((envelope) => envelope.bytes.length))).toBeLessThan(300_000);
    });
  });

  describe('envelopes', () => {
    it('carry the frames with their offsets, the epoch and the origin', async () => {
      const { backplane, heard, nodeId } = await start();
      await backplane.subscribe('room');
      const [first] = await publishAll(backplane, 'room', ['a', 'bb', 'ccc']);
      const [envelope] = await heard.untilMessages('room', 3);
      expect(framesOf(envelope!)).toEqual([
        { offset: 1, text: 'a' },
        { offset: 2, text: 'bb' },
        { offset: 3, text: 'ccc' },
      ]);
      expect(envelope).toMatchObject({
        first: 1,
        last: 3,
        epoch: first!.epoch,
        origin: nodeId,
        hasExcludes: false,
      });
      expect(Math.abs(Date.now() - envelope!.sentAtMs)).toBeLessThan(10_000);
    });

    it('are stored as they are delivered', async () => {
      const { backplane, heard } = await start();
      await backplane.subscribe('room');
      await publishAll(backplane, 'room', ['a', 'b']);
      const [live] = await heard.untilMessages('room', 2);
      const page = await backplane.read('room', KEPT, { limit: 10 });
      expect(page.envelopes.map(({ bytes }) => bytes.toString('hex'))).toEqual([live!.bytes.toString('hex')]);
    });

    it('say which connection is left out', async () => {
      const { backplane, heard } = await start();
      await backplane.subscribe('room');
      await Promise.all([
        publishTiny(backplane, 'room', 'a'),
        publishTiny(backplane, 'room', 'b', { exclude: 4_000_000_000 }),
        publishTiny(backplane, 'room', 'c', { exclude: 7 }),
      ]);
      const [envelope] = await heard.untilMessages('room', 3);
      expect(numbers(0, 2).map((i) => envelope!.excluded(i))).toEqual([0, 4_000_000_000, 7]);
      expect(textsOf([envelope!])).toEqual(['a', 'b', 'c']);
    });

    it('keep their bytes when more arrives', async () => {
      const { backplane, heard } = await start();
      await backplane.subscribe('room');
      await publishTiny(backplane, 'room', 'kept');
      const [envelope] = await heard.untilMessages('room', 1);
      const before = envelope!.bytes.toString('hex');
      await publishAll(backplane, 'room', numbers(1, 500).map(String));
      await heard.untilMessages('room', 501);
      expect(envelope!.bytes.toString('hex')).toBe(before);
    });
  });

  describe('history', () => {
    it('holds a message once its publish is settled', async () => {
      const { backplane } = await start();
      for (const n of numbers(1, 10)) {
        const { epoch, offset } = await publishTiny(backplane, 'room', `${n}`);
        const page = await backplane.read('room', KEPT, { after: offset - 1, limit: 10 });
        expect([page.epoch, page.offset, textsOf(page.envelopes)]).toEqual([epoch, n, [`${n}`]]);
      }
    });

    it('is bounded by count', async () => {
      const { backplane } = await start();
      const history = { messages: 5, ageMs: 60_000 };
      for (const n of numbers(1, 40)) await publishTiny(backplane, 'room', `${n}`, { history });
      const page = await backplane.read('room', history, { limit: 100 });
      expect(textsOf(page.envelopes)).toEqual(['36', '37', '38', '39', '40']);
    });

    it('keeps an envelope whole while one of its messages counts', async () => {
      const { backplane } = await start();
      const history = { messages: 3, ageMs: 60_000 };
      await Promise.all(
        ['1', '2', '3', '4'].map((text) => publishTiny(backplane, 'room', text, { history })),
      );
      await publishTiny(backplane, 'room', '5', { history });
      await publishTiny(backplane, 'room', '6', { history });
      const before = await backplane.read('room', history, { limit: 100 });
      expect(textsOf(before.envelopes)).toEqual(['1', '2', '3', '4', '5', '6']);
      await publishTiny(backplane, 'room', '7', { history });
      const after = await backplane.read('room', history, { limit: 100 });
      expect(textsOf(after.envelopes)).toEqual(['5', '6', '7']);
    });

    it('is bounded by age, and offsets go on after it', async () => {
      const { backplane } = await start();
      const history = { messages: 100, ageMs: 150 };
      const first = await publishTiny(backplane, 'room', '1', { history });
      const fresh = await backplane.read('room', history, { limit: 10 });
      expect(textsOf(fresh.envelopes)).toEqual(['1']);
      const isEmpty = async () =>
        (await backplane.read('room', history, { limit: 10 })).envelopes.length === 0;
      await waitFor(isEmpty, { for: 'the history to age' });
      const page = await backplane.read('room', history, { limit: 10 });
      expect(page).toMatchObject({ epoch: first.epoch, offset: 1 });
      expect(await publishTiny(backplane, 'room', '2', { history })).toMatchObject({
        epoch: first.epoch,
        offset: 2,
      });
      const after = await backplane.read('room', history, { limit: 10 });
      expect(textsOf(after.envelopes)).toEqual(['2']);
    });

    it('of a room in use lacks what is too old', async () => {
      const { backplane } = await start();
      await publishTiny(backplane, 'room', 'old');
      const young = { messages: 100, ageMs: 100 };
      const read = async () => textsOf((await backplane.read('room', young, { limit: 10 })).envelopes);
      await waitFor(async () => (await read()).length === 0, { for: 'the message to age' });
      await publishTiny(backplane, 'room', 'new');
      expect(await read()).toEqual(['new']);
    });

    it('begins anew in another epoch when a room was not used for the life of its numbering', async () => {
      const { backplane } = await start({ metaTtlMs: 100 });
      const first = await publishTiny(backplane, 'room', '1', { history: { messages: 10, ageMs: 50 } });
      // Reading keeps a room alive, so there is nothing to ask until it is over.
      await new Promise((resolve) => setTimeout(resolve, 300));
      const page = await backplane.read('room', KEPT, { limit: 10 });
      expect(page).toMatchObject({ offset: 0, envelopes: [] });
      expect(page.epoch).not.toBe(first.epoch);
    });

    it('is read page by page', async () => {
      const { backplane } = await start();
      for (const n of numbers(1, 45)) await publishTiny(backplane, 'room', `${n}`);
      const texts: string[] = [];
      for (let after = 0, pages = 1; after < 45; pages++) {
        const page = await backplane.read('room', KEPT, { after, limit: 20 });
        expect([page.offset, textsOf(page.envelopes).length]).toEqual([45, pages < 3 ? 20 : 5]);
        texts.push(...textsOf(page.envelopes));
        after = page.envelopes.at(-1)!.last;
      }
      expect(texts).toEqual(numbers(1, 45).map(String));
    });

    it('is read from the envelope that holds the next message, and a page ends with a whole envelope', async () => {
      const { backplane } = await start();
      await publishAll(backplane, 'room', ['1', '2', '3', '4']);
      await publishAll(backplane, 'room', ['5', '6', '7']);
      await publishTiny(backplane, 'room', '8');
      const page = await backplane.read('room', KEPT, { after: 2, limit: 3 });
      expect(page.envelopes.map(({ first, last }) => [first, last])).toEqual([
        [1, 4],
        [5, 7],
      ]);
      const end = await backplane.read('room', KEPT, { after: 8, limit: 3 });
      expect(end).toMatchObject({ offset: 8, envelopes: [] });
    });

    it('gives the newest, oldest first, and no more than it holds', async () => {
      const { backplane } = await start();
      for (const n of numbers(1, 45)) await publishTiny(backplane, 'room', `${n}`);
      for (const [limit, first] of [
        [3, 43],
        [17, 29],
        [45, 1],
        [500, 1],
      ] as const) {
        const page = await backplane.read('room', KEPT, { limit, newest: true });
        expect([page.offset, textsOf(page.envelopes)]).toEqual([45, numbers(first, 45).map(String)]);
      }
      const after = await backplane.read('room', KEPT, { after: 43, limit: 10, newest: true });
      expect(textsOf(after.envelopes)).toEqual(['44', '45']);
      const few = await backplane.read('room', { messages: 5, ageMs: 60_000 }, { limit: 10, newest: true });
      expect(textsOf(few.envelopes)).toEqual(['41', '42', '43', '44', '45']);
      expect(await backplane.read('none', KEPT, { limit: 3, newest: true })).toMatchObject({ offset: 0 });
    });

    it('ends a page before it has more bytes than asked for, and never without a message', async () => {
      const { backplane } = await start();
      // Envelopes of about 1,070 bytes.
      for (const n of numbers(1, 30)) await publishTiny(backplane, 'room', `${n}`.padEnd(1_000, '.'));
      const read = async (options: { bytes: number; newest?: boolean; after?: number }) => {
        const page = await backplane.read('room', KEPT, { limit: 100, ...options });
        return textsOf(page.envelopes).map((text) => Number(text.replaceAll('.', '')));
      };
      expect(await read({ bytes: 5_500 })).toEqual(numbers(1, 5));
      expect(await read({ bytes: 5_500, after: 7 })).toEqual(numbers(8, 12));
      expect(await read({ bytes: 22_000, newest: true })).toEqual(numbers(11, 30));
      expect(await read({ bytes: 1, newest: true })).toEqual([30]);
      expect(await read({ bytes: 1, after: 3 })).toEqual([4]);
      expect(await read({ bytes: 1_000_000 })).toEqual(numbers(1, 30));
    });

    it('of which the oldest are too old begins with the others, also from its end', async () => {
      const { backplane } = await start();
      for (const n of numbers(1, 10)) await publishTiny(backplane, 'room', `${n}`);
      const young = { messages: 100, ageMs: 100 };
      const read = async () =>
        textsOf((await backplane.read('room', young, { limit: 99, newest: true })).envelopes);
      await waitFor(async () => (await read()).length === 0, { for: 'the messages to age' });
      await publishTiny(backplane, 'room', 'new');
      expect(await read()).toEqual(['new']);
    });

    it('gives the position alone for a limit of 0, and an epoch that stays', async () => {
      const { backplane } = await start();
      const empty = await backplane.read('room', KEPT, { limit: 0, begin: true });
      expect(empty).toMatchObject({ offset: 0, envelopes: [] });
      expect(empty.epoch).toMatch(/^[0-9a-z]{8}$/);
      const { epoch } = await publishTiny(backplane, 'room', '1');
      expect(epoch).toBe(empty.epoch);
      expect(await backplane.read('room', KEPT, { limit: 0 })).toMatchObject({
        epoch,
        offset: 1,
        envelopes: [],
      });
    });
  });

  describe('numbering', () => {
    const NONE = { epoch: '', offset: 0, envelopes: [] };

    it('is not begun by those who only look', async () => {
      const { backplane } = await start();
      for (const options of [{ limit: 0 }, { limit: 10 }, { after: 7, limit: 10, begin: false }]) {
        expect(await backplane.read('room', KEPT, options)).toEqual(NONE);
      }
      expect(await backplane.acks.list('room', KEPT, null, 10)).toEqual({
        epoch: '',
        offset: 0,
        count: 0,
        users: [],
      });
      expect(await backplane.read('room', KEPT, { limit: 0 })).toEqual(NONE);
      const { epoch } = await backplane.read('room', KEPT, { limit: 0, begin: true });
      expect(await backplane.read('room', KEPT, { limit: 10 })).toEqual({ epoch, offset: 0, envelopes: [] });
    });

    it('of a room without a message lives on while it is asked for, and not for long by itself', async () => {
      const { backplane } = await start({ emptyMetaTtlMs: 300 });
      const { epoch } = await backplane.read('room', KEPT, { limit: 0, begin: true });
      const began = performance.now();
      const isOld = async () => {
        expect((await backplane.read('room', KEPT, { limit: 0, begin: true })).epoch).toBe(epoch);
        return performance.now() - began > 700;
      };
      await waitFor(isOld, { for: 'more than twice its life' });
      // Looking keeps nothing alive.
      const isOver = async () => (await backplane.read('room', KEPT, { limit: 0 })).epoch === '';
      await waitFor(isOver, { for: 'its end' });
    });

    it('lasts once a message was published', async () => {
      const { backplane } = await start({ emptyMetaTtlMs: 100 });
      const { epoch } = await backplane.read('room', KEPT, { limit: 0, begin: true });
      await publishTiny(backplane, 'room', '1');
      const { epoch: other } = await backplane.read('empty', KEPT, { limit: 0, begin: true });
      expect(other).not.toBe('');
      const isOver = async () => (await backplane.read('empty', KEPT, { limit: 0 })).epoch === '';
      await waitFor(isOver, { for: 'an empty room to be forgotten' });
      expect(await backplane.read('room', KEPT, { limit: 0 })).toMatchObject({ epoch, offset: 1 });
    });
  });

  describe('renewing an epoch', () => {
    it('keeps what survived and its offsets', async () => {
      const { backplane } = await start();
      const [{ epoch }] = (await publishAll(backplane, 'room', ['1', '2'])) as [Settled, Settled];
      await backplane.renewEpoch('room', KEPT, epoch, 5);
      const page = await backplane.read('room', KEPT, { limit: 10 });
      expect(page.epoch).not.toBe(epoch);
      expect([page.offset, textsOf(page.envelopes)]).toEqual([2, ['1', '2']]);
      expect(await publishTiny(backplane, 'room', '3')).toMatchObject({ epoch: page.epoch, offset: 3 });
    });

    it('is done once, whoever else notices', async () => {
      const { backplane } = await start();
      const { epoch } = await publishTiny(backplane, 'room', '1');
      await backplane.renewEpoch('room', KEPT, epoch, 2);
      const renewed = await backplane.read('room', KEPT, { limit: 0 });
      await backplane.renewEpoch('room', KEPT, epoch, 2);
      await backplane.renewEpoch('room', KEPT, renewed.epoch, 1);
      expect((await backplane.read('room', KEPT, { limit: 0 })).epoch).toBe(renewed.epoch);
    });
  });

  describe('idempotency keys', () => {
    it('give the first result again, within a batch and later', async () => {
      const { backplane, heard } = await start();
      await backplane.subscribe('room');
      const results = await Promise.all([
        publishTiny(backplane, 'room', 'a', { key: 'k' }),
        publishTiny(backplane, 'room', 'a again', { key: 'k' }),
        publishTiny(backplane, 'room', 'b'),
      ]);
      const { epoch } = results[0]!;
      expect(results).toEqual([
        { error: null, epoch, offset: 1, duplicate: false },
        { error: null, epoch, offset: 1, duplicate: true },
        { error: null, epoch, offset: 2, duplicate: false },
      ]);
      const later = await publishTiny(backplane, 'room', 'a once more', { key: 'k' });
      expect(later).toEqual({ error: null, epoch, offset: 1, duplicate: true });
      expect((await publishTiny(backplane, 'room', 'c')).offset).toBe(3);
      expect(textsOf(await heard.untilMessages('room', 3))).toEqual(['a', 'b', 'c']);
      const page = await backplane.read('room', KEPT, { limit: 10 });
      expect(textsOf(page.envelopes)).toEqual(['a', 'b', 'c']);
    });

    it('take duplicates out of the middle of a batch with what belongs to them', async () => {
      const { backplane, heard } = await start();
      await backplane.subscribe('room');
      await publishTiny(backplane, 'room', 'old', { key: 'k' });
      const results = await Promise.all([
        publishTiny(backplane, 'room', 'one', { exclude: 11 }),
        publishTiny(backplane, 'room', 'old again', { key: 'k', exclude: 12 }),
        publishTiny(backplane, 'room', 'three!', { key: 'other', exclude: 13 }),
        publishTiny(backplane, 'room', 'old again', { key: 'k' }),
        publishTiny(backplane, 'room', 'five'),
      ]);
      expect(results.map(({ offset, duplicate }) => [offset, duplicate])).toEqual([
        [2, false],
        [1, true],
        [3, false],
        [1, true],
        [4, false],
      ]);
      const envelope = (await heard.untilMessages('room', 4)).at(-1)!;
      expect(framesOf(envelope)).toEqual([
        { offset: 2, text: 'one' },
        { offset: 3, text: 'three!' },
        { offset: 4, text: 'five' },
      ]);
      expect(numbers(0, 2).map((i) => envelope.excluded(i))).toEqual([11, 13, 0]);
    });

    it('belong to their room', async () => {
      const { backplane } = await start();
      const results = await Promise.all([
        publishTiny(backplane, 'a', '1', { key: 'b:c' }),
        publishTiny(backplane, 'a:b', '1', { key: 'c' }),
        publishTiny(backplane, 'a', '2', { key: '' }),
      ]);
      expect(results.map(({ duplicate }) => duplicate)).toEqual([false, false, false]);
    });

    it('are forgotten after the window', async () => {
      const { backplane } = await start({ dedupWindowMs: 100 });
      await publishTiny(backplane, 'room', '1', { key: 'k' });
      const isNew = async () => !(await publishTiny(backplane, 'room', 'again', { key: 'k' })).duplicate;
      await waitFor(isNew, { for: 'the key to be forgotten' });
      expect((await backplane.read('room', KEPT, { limit: 0 })).offset).toBe(2);
    });
  });

  describe('rooms without history', () => {
    it('deliver with offset 0 and keep nothing', async () => {
      const { backplane, heard } = await start();
      await backplane.subscribe('room');
      const history = UNKEPT;
      const results = await Promise.all(
        ['a', 'b'].map((text) => publishTiny(backplane, 'room', text, { history })),
      );
      expect(results).toEqual(Array(2).fill({ error: null, epoch: '', offset: 0, duplicate: false }));
      const envelopes = await heard.untilMessages('room', 2);
      expect(envelopes.flatMap(framesOf)).toEqual([
        { offset: 0, text: 'a' },
        { offset: 0, text: 'b' },
      ]);
      expect(envelopes[0]).toMatchObject({ epoch: '', first: 0, last: 0 });
      expect(await backplane.read('room', history, { limit: 9 })).toEqual({
        epoch: '',
        offset: 0,
        envelopes: [],
      });
    });

    it('know idempotency keys too', async () => {
      const { backplane, heard } = await start();
      await backplane.subscribe('room');
      const publish = (text: string, key?: string) =>
        publishTiny(backplane, 'room', text, { history: UNKEPT, ...(key === undefined ? {} : { key }) });
      const results = await Promise.all([publish('a', 'k'), publish('a again', 'k'), publish('b')]);
      results.push(await publish('a', 'k'));
      expect(results.map(({ epoch, offset, duplicate }) => [epoch, offset, duplicate])).toEqual([
        ['', 0, false],
        ['', 0, true],
        ['', 0, false],
        ['', 0, true],
      ]);
      await publish('c');
      const envelopes = await heard.untilMessages('room', 3);
      expect(envelopes.flatMap(framesOf)).toEqual(['a', 'b', 'c'].map((text) => ({ offset: 0, text })));
    });

    it('are delivered many at a time and in order', async () => {
      const { backplane, heard } = await start();
      const rooms = numbers(0, 19).map((i) => `room:${i}`);
      await Promise.all(rooms.map((room) => backplane.subscribe(room)));
      const publishing = numbers(1, 5).flatMap((n) =>
        rooms.map((room) => publishTiny(backplane, room, `${n}`, { history: UNKEPT })),
      );
      await Promise.all(publishing);
      for (const room of rooms) {
        expect(textsOf(await heard.untilMessages(room, 5))).toEqual(['1', '2', '3', '4', '5']);
      }
    });
  });

  describe('subscriptions', () => {
    it('deliver what is published after they are settled, and nothing of other rooms', async () => {
      const { backplane, heard } = await start();
      await publishTiny(backplane, 'room', 'before');
      await backplane.subscribe('room');
      await backplane.subscribe('room');
      await publishTiny(backplane, 'other', 'elsewhere');
      await publishTiny(backplane, 'room', 'after');
      expect(textsOf(await heard.untilMessages('room', 1))).toEqual(['after']);
      expect(heard.of('other')).toEqual([]);
    });

    it('end with unsubscribe', async () => {
      const { backplane, heard } = await start();
      await Promise.all([backplane.subscribe('room'), backplane.subscribe('marker')]);
      backplane.unsubscribe('room');
      backplane.unsubscribe('never subscribed');
      await publishTiny(backplane, 'room', 'late');
      await publishTiny(backplane, 'marker', 'marker');
      await heard.untilMessages('marker', 1);
      expect(heard.of('room')).toEqual([]);
    });

    it.each([
      ['at once', async () => undefined],
      ['in the next tick', () => new Promise(setImmediate)],
      ['some ticks later', () => new Promise((resolve) => setTimeout(resolve, 5))],
    ])('hold when a room is unsubscribed and subscribed again %s', async (_when, pause) => {
      const { backplane, heard } = await start();
      await backplane.subscribe('room');
      for (let i = 0; i < 3; i++) {
        backplane.unsubscribe('room');
        await pause();
        await backplane.subscribe('room');
      }
      await publishTiny(backplane, 'room', 'heard');
      expect(textsOf(await heard.untilMessages('room', 1))).toEqual(['heard']);
    });

    it('work for many rooms at once, whatever their names', async () => {
      const { backplane, heard } = await start();
      const rooms = [
        ...numbers(1, 1200).map((n) => `room:${n}`),
        '$user:1',
        'a}:ch:{b',
        'żółć 🦊',
        '{x}',
        "it's",
      ];
      await Promise.all(rooms.map((room) => backplane.subscribe(room)));
      await Promise.all(rooms.map((room) => publishTiny(backplane, room, `to ${room}`)));
      for (const room of rooms) expect(textsOf(await heard.untilMessages(room, 1))).toEqual([`to ${room}`]);
    });
  });

  describe('signals', () => {
    it('reach the node that sends them, as they are and in order', async () => {
      const { backplane, heard } = await start();
      const texts = ['{"a":1}', '', 'żółć 🦊', 'x'.repeat(10_000)];
      for (const text of texts) await backplane.signal(text);
      await waitFor(() => heard.signals.length >= texts.length, { for: 'all signals' });
      expect(heard.signals).toEqual(texts);
      expect(heard.envelopes).toEqual([]);
    });

    it('never arrive before `signal` returns', async () => {
      const { backplane, heard } = await start();
      const sending = backplane.signal('x');
      expect(heard.signals).toEqual([]);
      await sending;
      await waitFor(() => heard.signals.length === 1, { for: 'the signal' });
    });

    it('are refused once it is closed', async () => {
      const { backplane } = await start();
      await backplane.close();
      await expect(backplane.signal('late')).rejects.toMatchObject({
        name: 'BackplaneError',
        code: 'unavailable',
        stage: 'signal',
      });
    });
  });

  describe('closing', () => {
    it('settles everything, also what comes after it', async () => {
      const { backplane } = await start();
      const publishing = numbers(1, 100).map((n) => publishTiny(backplane, 'room', `${n}`));
      const subscribing = backplane.subscribe('room').then(
        () => 'subscribed',
        (error: unknown) => error,
      );
      await backplane.close();
      await backplane.close();
      const late = await publishTiny(backplane, 'room', 'late');
      expect(late.error).toMatchObject({ code: 'unavailable', stage: 'publish' });
      for (const { error } of await Promise.all(publishing))
        expect(error?.code ?? 'stored').toMatch(/unavailable|stored|timeout/);
      await subscribing;
      await expect(backplane.read('room', KEPT, { limit: 1 })).rejects.toMatchObject({ code: 'unavailable' });
      await expect(backplane.subscribe('another')).rejects.toMatchObject({ code: 'unavailable' });
      expect(backplane.status()).toMatchObject({ ready: false });
      expect(backplane.status().reason).toBeTruthy();
    });

    it('is ready before it', async () => {
      const { backplane } = await start();
      expect(backplane.status()).toMatchObject({ ready: true, reason: null });
    });
  });

  it('does not touch the frame it is given', async () => {
    const { backplane } = await start();
    const frame = tinyFrame('mine');
    const before = frame.toString('hex');
    await new Promise<void>((resolve) => {
      const request = { room: 'room', history: KEPT, frame, offsetAt: 3, key: null, exclude: 0 };
      backplane.publish({ ...request, settled: () => resolve() });
    });
    expect(frame.toString('hex')).toBe(before);
  });
});
