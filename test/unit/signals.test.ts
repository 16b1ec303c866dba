import { beforeEach, describe, expect, it } from 'vitest';
import type { Identity } from '../../src/auth/identity.ts';
import { ALL_PERMITTED } from '../../src/auth/identity.ts';
import type { Connection } from '../../src/connection/connection.ts';
import { Hub } from '../../src/hub/hub.ts';
import { NodeMetrics } from '../../src/metrics/node-metrics.ts';
import { ControlMessages } from '../../src/node/control-messages.ts';
import { CLOSE } from '../../src/protocol/codes.ts';
import { silentLog } from '../../src/util/log.ts';
import { Session } from '../support/session.ts';

let sent: string[];
let metrics: NodeMetrics;
let hub: Hub<Connection>;
let control: ControlMessages;

beforeEach(() => {
  sent = [];
  metrics = new NodeMetrics();
  hub = new Hub();
  const backplane = {
    signal: async (text: string) => {
      sent.push(text);
    },
  };
  control = new ControlMessages({ backplane, hub, metrics, log: silentLog });
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
    await control.disconnect('ann');
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

it.each([
  '',
  '{',
  'null',
  '[]',
  '"disconnect"',
  '{}',
  '{"type":"disconnect"}',
  '{"type":"disconnect","user":""}',
  '{"type":"disconnect","user":7}',
  '{"type":"disconnect","user":["ann"]}',
  '{"type":"another","user":"ann"}',
  '['.repeat(100_000),
])('%.60s is no signal: it is counted and does nothing', (text) => {
  const { connection } = connectAs('ann');
  control.arrived(text);
  expect(connection.isOpen).toBe(true);
  expect(metrics.backplane.malformedEnvelopes).toBe(1);
});
