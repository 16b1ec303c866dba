/** Whose idempotency key it is, by what a node publishes on each backplane. */
import { describe, expect, it } from 'vitest';
import { ALL_PERMITTED, type Identity } from '../../src/auth/identity.ts';
import type { Backplane } from '../../src/backplane/backplane.ts';
import type { HistoryPolicy } from '../../src/backplane/history-policy.ts';
import { clientKey, serverKey } from '../../src/node/key-scope.ts';
import { KEPT, publishTiny, UNKEPT } from '../support/frames.ts';
import { useBackplanes } from '../support/use-backplanes.ts';

const used = useBackplanes();

const user = (name: string): Identity => ({ user: name, expiresAtMs: null, permissions: ALL_PERMITTED });

describe.each(used.factories)('idempotency keys on the %s backplane', (_kind, startOne) => {
  async function start(): Promise<Backplane> {
    const { backplane } = await startOne();
    used.open.push(backplane);
    return backplane;
  }

  /** Whether each of the keys was a duplicate, one after the other. */
  async function duplicates(
    backplane: Backplane,
    keys: readonly string[],
    history: HistoryPolicy = KEPT,
  ): Promise<boolean[]> {
    const results: boolean[] = [];
    for (const key of keys) {
      results.push((await publishTiny(backplane, 'room', 'text', { key, history })).duplicate);
    }
    return results;
  }

  it.each([
    ['with', KEPT],
    ['without', UNKEPT],
  ])('are their publisher\u2019s own, in rooms %s history', async (_, history) => {
    const backplane = await start();
    const key = 'order-17-paid';
    const scoped = [
      clientKey(user('eve'), key),
      clientKey(user('bob'), key),
      serverKey(key),
      clientKey(null, key),
    ];
    expect(await duplicates(backplane, scoped, history)).toEqual([false, false, false, false]);
    expect(await duplicates(backplane, scoped, history)).toEqual([true, true, true, true]);
  });

  it('of one batch are told apart too', async () => {
    const backplane = await start();
    const keys = [
      clientKey(user('eve'), 'k'),
      serverKey('k'),
      clientKey(user('eve'), 'k'),
      clientKey(null, 'k'),
    ];
    const results = await Promise.all(keys.map((key) => publishTiny(backplane, 'room', 'text', { key })));
    expect(results.map(({ duplicate }) => duplicate)).toEqual([false, false, true, false]);
  });

  it('do not meet, however users are called and keys are spelt', async () => {
    const backplane = await start();
    const keys = [
      clientKey(user('a'), 'b:c'),
      clientKey(user('a:b'), 'c'),
      clientKey(user('1:a'), 'b'),
      clientKey(user('s'), 'k'),
      clientKey(null, 's:k'),
      clientKey(null, 'u1:a:b:c'),
      serverKey('a:k'),
      serverKey('u1:s:k'),
      serverKey('k'),
      clientKey(null, 'k'),
      clientKey(user('11:a'), 'k'),
      clientKey(user('1'), '1:a:k'),
    ];
    expect(await duplicates(backplane, keys)).toEqual(keys.map(() => false));
  });

  it('of 64 bytes work for a user id of 100', async () => {
    const backplane = await start();
    for (const [name, key] of [
      ['u'.repeat(100), 'k'.repeat(64)],
      ['ż'.repeat(50), '🦊'.repeat(16)],
    ] as const) {
      const last = `${key.slice(0, -2)}zz`;
      const keys = [clientKey(user(name), key), clientKey(user(name), key), clientKey(user(name), last)];
      expect(await duplicates(backplane, keys)).toEqual([false, true, false]);
    }
  });
});
