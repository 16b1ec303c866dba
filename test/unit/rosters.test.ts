/** Which rooms a node reads the members of again, after reads that failed. */
import { expect, it } from 'vitest';
import { unavailable } from '../../src/backplane/backplane.ts';
import type { Presence } from '../../src/backplane/presence.ts';
import { Hub } from '../../src/hub/hub.ts';
import { Rosters } from '../../src/node/membership/rosters.ts';
import { Feed } from '../../src/node/rooms/feed.ts';
import { silentLog } from '../../src/util/log.ts';
import { OPEN } from '../support/rules.ts';

/** More than are read again at once. */
const MANY = 60;

it('a room is read again while many others still cannot be read', async () => {
  let readable: string | null = null;
  let wasRead = false;
  const view: Presence['view'] = async (room) => {
    if (room !== readable) throw unavailable('presence', 'the server is away');
    wasRead = true;
    return { count: 0, users: 0, members: [], next: null };
  };
  const rosters = new Rosters({
    presence: { view } as Partial<Presence> as Presence,
    detailedMembers: 10,
    wasRead: () => undefined,
    toldAll: () => undefined,
    log: silentLog,
  });
  const hub = new Hub();
  for (let i = 0; i < MANY; i++) {
    const feed = new Feed(hub.open(`room:${i}`), OPEN, () => undefined);
    await rosters.ask(feed).catch(() => undefined);
  }
  readable = `room:${MANY - 1}`;
  await rosters.retry();
  await rosters.retry();
  expect(wasRead).toBe(true);
});
