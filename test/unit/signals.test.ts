import { beforeEach, describe, expect, it } from 'vitest';
import type { Identity } from '../../src/auth/identity.ts';
import { ALL_PERMITTED } from '../../src/auth/identity.ts';
import { MemoryDenials } from '../../src/backplane/memory/memory-denials.ts';
import type { Connection } from '../../src/connection/connection.ts';
import { Hub } from '../../src/hub/hub.ts';
import { NodeMetrics } from '../../src/metrics/node-metrics.ts';
import { ControlMessages } from '../../src/node/control-messages.ts';
import { Denied } from '../../src/node/denied.ts';
import { Revoking } from '../../src/node/revoking.ts';
import { CLOSE } from '../../src/protocol/codes.ts';
import { systemClock } from '../../src/util/clock.ts';
import { silentLog } from '../../src/util/log.ts';
import { systemScheduler } from '../../src/util/scheduler.ts';
import { Session } from '../support/session.ts';

let sent: string[];
let metrics: NodeMetrics;
let hub: Hub<Connection>;
let control: ControlMessages;
let denied: Denied;
let removed: [Connection, string, string][];
let placed: [Connection, string][];
let repaired: string[];

beforeEach(() => {
  sent = [];
  metrics = new NodeMetrics();
  hub = new Hub();
  const backplane = {
    signal: async (text: string) => {
      sent.push(text);
    },
  };
  removed = [];
  placed = [];
  repaired = [];
  denied = new Denied({
    denials: new MemoryDenials(systemClock),
    scheduler: systemScheduler,
    log: silentLog,
    learned: () => undefined,
    learnedRevoked: () => undefined,
    restored: () => undefined,
  });
  const feeds = {
    get: (room: string) => ({ room }),
    missed: async ({ room }: { room: string }) => void repaired.push(room),
  };
  control = new ControlMessages({
    backplane,
    hub,
    feeds: feeds as never,
    memberships: {
      remove: (connection, room, { message }) => removed.push([connection, room, message]),
      place: (connection, room) => placed.push([connection, room]),
    },
    denied,
    revoking: new Revoking({ hub, denied, scheduler: systemScheduler, log: silentLog }),
    metrics,
    log: silentLog,
  });
});

function connectAs(user: string): Session {
  const identity: Identity = { user, expiresAtMs: null, permissions: ALL_PERMITTED };
  const session = new Session({ identity });
  hub.add(session.connection);
  return session;
}

describe('a signal to disconnect', () => {
  it('closes every connection of the user on the node that hears it, and no other', async () => {
    const [first, second, other] = [connectAs('ann'), connectAs('ann'), connectAs('bob')];
    await control.send({ type: 'disconnect', user: 'ann' });
    expect(first.connection.isOpen).toBe(true);
    control.arrived(sent[0]!);
    expect([first, second, other].map(({ socket }) => socket.ends)).toEqual([
      [CLOSE.disconnected],
      [CLOSE.disconnected],
      [],
    ]);
  });

  it('closes each of them though a closed one leaves the hub at once', () => {
    const sessions = [connectAs('ann'), connectAs('ann'), connectAs('ann')];
    for (const { socket, connection } of sessions) {
      const { end } = socket;
      socket.end = (reason) => {
        end.call(socket, reason);
        hub.remove(connection);
      };
    }
    control.arrived('{"type":"disconnect","user":"ann"}');
    expect(sessions.map(({ connection }) => connection.isOpen)).toEqual([false, false, false]);
    expect([...hub.connectionsOf('ann')]).toEqual([]);
  });

  it('is taken from a later version that says more', () => {
    const { connection } = connectAs('ann');
    control.arrived('{"type":"disconnect","user":"ann","why":"because"}');
    expect(connection.isOpen).toBe(false);
    expect(metrics.backplane.malformedEnvelopes).toBe(0);
  });
});

describe('a signal to revoke', () => {
  it('closes every connection of a user, says why, and lets none in until it is over', () => {
    const [one, two, other] = [connectAs('ann'), connectAs('ann'), connectAs('bob')];
    control.arrived('{"type":"revoke","kind":"user","id":"ann","forMs":60000}');
    for (const { socket } of [one, two]) {
      expect(socket.ends).toEqual([CLOSE.revoked]);
      expect(socket.frames.at(-1)).toEqual(['error', 0, 'token_revoked', expect.any(String)]);
    }
    expect(other.connection.isOpen).toBe(true);
    expect(denied.isRevoked(one.connection.identity!)).toBe(true);
    control.arrived('{"type":"revoke","kind":"user","id":"ann","forMs":0}');
    expect(denied.isRevoked(one.connection.identity!)).toBe(false);
  });
});

describe('a signal about a room', () => {
  it('removes the user where it is a member, and keeps it out for as long as it says', () => {
    const [member, other] = [connectAs('ann'), connectAs('ann')];
    hub.enter(member.connection, 'chat');
    control.arrived('{"type":"remove","room":"chat","user":"ann","reason":"spam","forMs":60000}');
    expect(removed).toEqual([[member.connection, 'chat', 'spam']]);
    expect(other.connection.isOpen).toBe(true);
    expect(denied.leftMs('ann', 'chat')).toBeGreaterThan(50_000);
    control.arrived('{"type":"remove","room":"chat","user":"ann","reason":""}');
    expect(removed[1]).toEqual([member.connection, 'chat', 'removed by the server']);
    expect(denied.leftMs('ann', 'chat')).toBeGreaterThan(50_000);
    control.arrived('{"type":"remove","room":"chat","user":"ann","reason":"","forMs":0}');
    expect(denied.leftMs('ann', 'chat')).toBe(0);
  });

  it('puts every connection of the user into it, and no longer keeps the user out', () => {
    const [one, two] = [connectAs('ann'), connectAs('ann')];
    connectAs('bob');
    control.arrived('{"type":"remove","room":"chat","user":"ann","reason":"","forMs":60000}');
    control.arrived('{"type":"add","room":"chat","user":"ann"}');
    expect(placed).toEqual([
      [one.connection, 'chat'],
      [two.connection, 'chat'],
    ]);
    expect(denied.keptOutCount).toBe(0);
  });

  it('has its feed look at what is left of its history', () => {
    control.arrived('{"type":"cleared","room":"chat"}');
    expect(repaired).toEqual(['chat']);
  });
});

it.each([
  '',
  '{',
  'null',
  '[]',
  '"disconnect"',
  '{}',
  '{"type":"disconnect"}',
  '{"type":"revoke","kind":"room","id":"ann","forMs":1}',
  '{"type":"revoke","kind":"user","id":"","forMs":1}',
  '{"type":"revoke","kind":"user","id":"ann"}',
  '{"type":"disconnect","user":""}',
  '{"type":"disconnect","user":7}',
  '{"type":"disconnect","user":["ann"]}',
  '{"type":"another","user":"ann"}',
  '{"type":"remove","user":"ann","reason":"spam"}',
  '{"type":"remove","room":"chat","user":"ann"}',
  '{"type":"add","room":"","user":"ann"}',
  '{"type":"cleared","user":"ann"}',
  '['.repeat(100_000),
])('%.60s is no signal: it is counted and does nothing', (text) => {
  const { connection } = connectAs('ann');
  control.arrived(text);
  expect(connection.isOpen).toBe(true);
  expect(metrics.backplane.malformedEnvelopes).toBe(1);
});
