import { expect, it } from 'vitest';
import { fullKey, serverKey } from '../../src/auth/server-key.ts';
import { DENIALS_OF_KEY, DenialShare } from '../../src/node/denial-share.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** Users who are kept out, by room. */
function listed(rooms: Record<string, number>) {
  let counts = 0;
  return {
    get counts() {
      return counts;
    },
    get keptOutCount() {
      return Object.values(rooms).reduce((sum, count) => sum + count, 0);
    },
    keptOutOf(covers: (room: string) => boolean) {
      counts++;
      return Object.entries(rooms).reduce((sum, [room, count]) => sum + (covers(room) ? count : 0), 0);
    },
    leftMs: (user: string) => (user === 'known' ? 1000 : 0),
  };
}

const CHAT = serverKey({ name: 'chat', scopes: ['admin'], rooms: ['chat:*'] });
const NEWS = serverKey({ name: 'news', scopes: ['admin'], rooms: ['news'] });

it('a key for some rooms keeps out of them no more than its share, and others are not held up', () => {
  const list = listed({ 'chat:a': DENIALS_OF_KEY - 2, news: 5 });
  const share = new DenialShare(list, new FakeClock().nowMs);
  const tried = ['u1', 'u2', 'u3', 'known'].map((user) => share.allows(CHAT, 'chat:a', user));
  expect(tried).toEqual([true, true, false, true]);
  expect(share.allows(NEWS, 'news', 'u1')).toBe(true);
  expect(share.allows(fullKey('all'), 'chat:a', 'u4')).toBe(true);
  expect(share.allows(null, 'chat:a', 'u4')).toBe(true);
});

it('a list that is shorter than a share is not counted, and a longer one once a second', () => {
  const rooms = { 'chat:a': DENIALS_OF_KEY - 1 };
  const list = listed(rooms);
  const clock = new FakeClock();
  const share = new DenialShare(list, clock.nowMs);
  expect(share.allows(CHAT, 'chat:a', 'u1')).toBe(true);
  expect(list.counts).toBe(0);
  rooms['chat:a'] = DENIALS_OF_KEY;
  for (let n = 0; n < 10; n++) expect(share.allows(CHAT, 'chat:a', `u${n}`)).toBe(false);
  expect(list.counts).toBe(1);
  rooms['chat:a'] = DENIALS_OF_KEY - 1;
  Object.assign(rooms, { other: 5 });
  clock.advance(1000);
  expect(share.allows(CHAT, 'chat:a', 'u1')).toBe(true);
  expect(list.counts).toBe(2);
});
