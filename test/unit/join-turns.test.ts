import { describe, expect, it } from 'vitest';
import { ALL_PERMITTED, type Identity } from '../../src/auth/identity.ts';
import type { Connection } from '../../src/connection/connection.ts';
import { JOINS_A_TURN } from '../../src/connection/join-turns.ts';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import { CLOSE } from '../../src/protocol/codes.ts';
import type { CommandFrame } from '../../src/protocol/frames.ts';
import { Session } from '../support/session.ts';

const ANN: Identity = { user: 'ann', expiresAtMs: null, permissions: ALL_PERMITTED };

function joins(count: number, prefix = 'room'): CommandFrame[] {
  return Array.from({ length: count }, (_, i) => ['join', i + 1, `${prefix}:${i + 1}`] as const);
}

function receive(connection: Connection, frames: readonly CommandFrame[]): void {
  connection.receive(Buffer.concat(frames.map((frame) => encodeCommand(frame, 'msgpack') as Uint8Array)));
}

/** The session, when as many joins as one turn takes have begun. */
function busy(options: ConstructorParameters<typeof Session>[0] = {}): Session {
  const session = new Session(options);
  session.receive(...joins(JOINS_A_TURN, 'first'));
  return session;
}

describe('the joins of one turn', () => {
  it('begin at once, as many as a client that comes back asks for', () => {
    const session = busy();
    expect(session.node.joined).toHaveLength(JOINS_A_TURN);
    expect(session.connection.isPaused).toBe(false);
  });

  it('are as many over all connections: those beyond wait for the next turns', () => {
    const session = busy();
    const others = [session.another(ANN), session.another(ANN), session.another(ANN)];
    for (const other of others) receive(other, joins(JOINS_A_TURN));
    const counts: number[] = [];
    for (let turn = 0; turn < 4; turn++) {
      counts.push(session.node.joined.length / JOINS_A_TURN);
      session.endTurn();
    }
    expect(counts).toEqual([1, 2, 3, 4]);
    expect(others.some(({ isPaused }) => isPaused)).toBe(false);
    // The count starts anew.
    session.endTurn();
    session.receive(...joins(JOINS_A_TURN, 'last'));
    expect(session.node.joined).toHaveLength(5 * JOINS_A_TURN);
  });

  it('go around: a connection with few joins does not wait for one with many', () => {
    const session = busy();
    const [many, few] = [session.another(ANN), session.another(ANN)];
    receive(many, joins(500, 'many'));
    receive(few, joins(10, 'few'));
    session.endTurn();
    expect(session.node.joined.filter((room) => room.startsWith('few'))).toHaveLength(10);
    expect(few.isPaused).toBe(false);
    expect(many.isPaused).toBe(true);
  });
});

describe('a connection whose join waits', () => {
  it('has what it sends after it carried out after it, in order', () => {
    const session = busy();
    session.receive(['join', 1001, 'late'], ['ping', 1002], ['join', 1003, 'broken'], ['ping', 1004]);
    session.receive(['publish', 1005, 'late', 'hello']);
    expect(session.node.published).toEqual([]);
    session.endTurn();
    const ids = session.socket.frames.map(([, id]) => id);
    expect(ids.filter((id) => Number(id) > 1000)).toEqual([1001, 1002, 1003, 1004, 1005]);
    expect(Buffer.from(session.node.published[0]!.data).toString('latin1')).toContain('hello');
  });

  it('is charged for a command when it is carried out, and once', () => {
    const session = busy({ rate: [1, JOINS_A_TURN + 4] });
    session.receive(['join', 1001, 'late'], ['ping', 1002], ['ping', 1003], ['ping', 1004], ['ping', 1005]);
    session.endTurn();
    const refused = session.socket.frames.filter(([type]) => type === 'error');
    expect(refused.map(([, id, code]) => [id, code])).toEqual([[1005, 'rate_limited']]);
  });

  it('keeps none of it, and begins nothing, once it is closed', () => {
    const session = busy();
    session.receive(['join', 1001, 'late'], ['publish', 1002, 'late', 1]);
    session.connection.closed();
    session.endTurn();
    expect(session.node.joined).not.toContain('late');
    expect(session.node.published).toEqual([]);
  });

  it('may have as much waiting as one turn may bring in, and is closed with 4009 for more', () => {
    const session = busy({ limits: { byteBurst: 1000, maxPayloadBytes: 65_536 } });
    const { turnCommands } = session.connection.context.limits;
    session.receive(['join', 1001, 'late']);
    const pings = Array.from({ length: turnCommands / 10 }, () => ['ping', 1] as const);
    for (let i = 0; i < 10; i++) session.receive(...pings);
    expect(session.socket.ends).toEqual([]);
    session.receive(['ping', 1]);
    expect(session.socket.ends).toEqual([CLOSE.rateLimited]);
    expect(session.metrics.connections.floods.commands).toBe(1);
  });
});
