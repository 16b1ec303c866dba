import { describe, expect, it } from 'vitest';
import { ALL_PERMITTED, type Identity } from '../../src/auth/identity.ts';
import {
  CommandTurns,
  EXTRA_UNITS,
  LOOK_EVERY,
  READ_CPU_MS,
  TURN_MS,
  UNITS_A_TURN,
} from '../../src/connection/command-turns.ts';
import type { Connection } from '../../src/connection/connection.ts';
import { codecCalls } from '../../src/protocol/calls.ts';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import { CLOSE } from '../../src/protocol/codes.ts';
import type { CommandFrame } from '../../src/protocol/frames.ts';
import type { Encoding } from '../../src/protocol/subprotocol.ts';
import { EndOfTurn } from '../../src/util/end-of-turn.ts';
import type { ListSocket } from '../support/list-socket.ts';
import { Session } from '../support/session.ts';

const ANN: Identity = { user: 'ann', expiresAtMs: null, permissions: ALL_PERMITTED };
const JOINS_A_TURN = UNITS_A_TURN / (1 + EXTRA_UNITS.join);

function joins(count: number, prefix = 'room'): CommandFrame[] {
  return Array.from({ length: count }, (_, i) => ['join', i + 1, `${prefix}:${i + 1}`] as const);
}

function pings(count: number, from = 1): CommandFrame[] {
  return Array.from({ length: count }, (_, i) => ['ping', from + i] as const);
}

/** In one message, whose buffer is another's when this returns. */
function receive(
  connection: Connection,
  frames: readonly CommandFrame[],
  encoding: Encoding = 'msgpack',
): void {
  const parts = frames.map((frame) => Buffer.from(encodeCommand(frame, encoding)));
  const line = Buffer.from(encoding === 'json' ? '\n' : '');
  const buffer = new Uint8Array(Buffer.concat(parts.flatMap((part) => [part, line])));
  connection.receive(buffer);
  buffer.fill(0xff);
}

const answered = (connection: Connection) => (connection.socket as ListSocket).frames.length;
const ids = (connection: Connection) => (connection.socket as ListSocket).frames.map(([, id]) => id);

/** The session, when as much as one turn takes has been carried out. */
function busy(options: ConstructorParameters<typeof Session>[0] = {}): Session {
  const session = new Session(options);
  session.receive(...joins(JOINS_A_TURN, 'first'));
  return session;
}

describe('the joins of one turn', () => {
  it('begin at once, as many as a client that comes back asks for', () => {
    const session = busy();
    expect(session.node.joined).toHaveLength(JOINS_A_TURN);
    expect(JOINS_A_TURN).toBe(100);
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

describe.each(['msgpack', 'json'] as const)('the commands of one turn, in %s,', (encoding) => {
  it('are bounded over all connections, however many each sends, and none is refused or lost', () => {
    const session = new Session({ encoding });
    const all = Array.from({ length: 50 }, () => session.another(ANN));
    for (const connection of all) receive(connection, pings(500), encoding);
    const carriedOut = () => session.metrics.commands.received.ping;
    let before = 0;
    for (let turn = 1; turn <= 25; turn++) {
      expect(carriedOut() - before).toBeLessThanOrEqual(UNITS_A_TURN);
      before = carriedOut();
      session.endTurn();
    }
    expect(carriedOut()).toBe(25_000);
    session.endTurn();
    for (const connection of all) expect(ids(connection)).toEqual(pings(500).map(([, id]) => id));
    expect(session.turns.waiting).toBe(0);
  });

  it('of a bystander are carried out in the next turn, whatever waits before it', () => {
    const session = new Session({ encoding });
    const flood = Array.from({ length: 200 }, () => session.another(ANN));
    for (const connection of flood) receive(connection, pings(5000), encoding);
    const bystander = session.another(ANN);
    receive(bystander, [['publish', 1, 'a', 'hello']], encoding);
    expect(session.node.published).toHaveLength(0);
    session.endTurn();
    expect(session.node.published).toHaveLength(1);
    expect(bystander.isPaused).toBe(false);
  });

  it('end when the turn has taken too long, and go on in the next', () => {
    const session = new Session({ encoding });
    const { node, clock } = session;
    const publish = node.publish.bind(node);
    node.publish = (...given) => {
      clock.advance(1);
      publish(...given);
    };
    const connection = session.another(ANN);
    const lines = Array.from({ length: 100 }, (_, i) => ['publish', i + 1, 'a', i] as const);
    receive(connection, lines, encoding);
    expect(node.published).toHaveLength(LOOK_EVERY);
    const late = session.another(ANN);
    receive(late, [['ping', 1]], encoding);
    expect(late.isPaused).toBe(true);
    let turns = 1;
    for (; session.turns.waiting > 0; turns++) session.endTurn();
    expect(turns).toBeGreaterThan(100 / LOOK_EVERY);
    session.endTurn();
    expect(ids(connection)).toEqual(lines.map(([, id]) => id));
    expect(ids(late)).toEqual([1]);
  });

  it('are counted from the first of them: time in which nothing came takes nothing', () => {
    const session = new Session({ encoding });
    for (let turn = 0; turn < 3; turn++) {
      session.clock.advance(10 * TURN_MS);
      receive(session.connection, pings(1), encoding);
      expect(session.connection.isPaused).toBe(false);
      session.endTurn();
    }
  });

  it('count the bytes of their messages too', () => {
    const session = new Session({ encoding });
    const publish = ['publish', 1, 'a', 'x'.repeat(60_000)] as const;
    for (let sent = 0; sent < 150; sent++) receive(session.another(ANN), [publish], encoding);
    // Seven times 8 KiB, and a publish.
    expect(session.node.published).toHaveLength(Math.floor(UNITS_A_TURN / 9));
    session.endTurn();
    expect(session.node.published).toHaveLength(150);
  });

  it('are refused in turns too, in order', () => {
    const session = new Session({
      encoding,
      limits: { bytesPerSecond: 1, byteBurst: 1, maxPayloadBytes: 1 },
    });
    const all = Array.from({ length: 30 }, () => session.another(ANN));
    for (const connection of all) receive(connection, pings(90), encoding);
    expect(session.metrics.errors.rate_limited).toBe(UNITS_A_TURN);
    for (let turn = 0; turn < 4; turn++) session.endTurn();
    for (const connection of all) expect(ids(connection)).toEqual(pings(90).map(([, id]) => id));
    expect(session.metrics.errors.rate_limited).toBe(2700);
  });
});

describe('a connection whose commands wait', () => {
  it('has what it sends after them carried out after them, in order', () => {
    const session = busy();
    session.receive(['join', 1001, 'late'], ['ping', 1002], ['join', 1003, 'broken'], ['ping', 1004]);
    session.receive(['publish', 1005, 'late', 'hello']);
    expect(session.node.published).toEqual([]);
    session.endTurn();
    session.endTurn();
    const late = ids(session.connection).filter((id) => Number(id) > 1000);
    expect(late).toEqual([1001, 1002, 1003, 1004, 1005]);
    expect(Buffer.from(session.node.published[0]!.data).toString('latin1')).toContain('hello');
  });

  it('is charged for a command when it is carried out, and once', () => {
    const session = busy({ rate: [1, JOINS_A_TURN + 4] });
    session.receive(['join', 1001, 'late'], ['ping', 1002], ['ping', 1003], ['ping', 1004], ['ping', 1005]);
    session.endTurn();
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
    expect(session.turns.waiting).toBe(0);
  });

  it('is closed for a message that cannot be decoded when its turn comes, after the replies before it', () => {
    const session = busy({ encoding: 'json' });
    session.receiveBytes(Buffer.from('["ping",1001]\n["ping",1002]\n{'));
    expect(session.socket.ends).toEqual([]);
    session.endTurn();
    expect(ids(session.connection).slice(-2)).toEqual([1001, 1002]);
    expect(session.socket.ends.map(({ code }) => code)).toEqual([1007]);
  });

  it('has messages without a command counted', () => {
    const session = busy({ encoding: 'json' });
    for (let sent = 1; sent <= 1001; sent++) session.receiveBytes(Buffer.from('\n'));
    session.endTurn();
    expect(session.socket.ends).toEqual([CLOSE.rateLimited]);
    expect(session.metrics.connections.floods.messages).toBe(1);
  });

  it('has empty messages counted as they come: they wait for nothing', () => {
    const session = busy();
    session.receive(['ping', 1]);
    for (let sent = 1; sent <= 1001; sent++) session.receiveBytes(new Uint8Array());
    expect(session.socket.ends).toEqual([CLOSE.rateLimited]);
    expect(session.metrics.connections.floods.messages).toBe(1);
  });

  it('may have as many bytes waiting as one turn may bring in, and is closed with 4009 for more', () => {
    const session = busy({ limits: { byteBurst: 1000, maxPayloadBytes: 65_536 } });
    const { turnBytes } = session.connection.context.limits;
    const publish = ['publish', 1001, 'a', 'x'.repeat(60_000)] as const;
    const most = Math.floor(turnBytes / 60_200);
    for (let i = 0; i < most; i++) {
      session.turn.number++;
      session.receive(publish);
    }
    expect(session.socket.ends).toEqual([]);
    session.turn.number++;
    session.receive(publish);
    expect(session.socket.ends).toEqual([CLOSE.rateLimited]);
    expect(session.metrics.connections.floods.commands).toBe(1);
  });

  it('may have the less waiting the more others have, and never less than two messages', () => {
    const session = busy({ limits: { maxPayloadBytes: 65_536 } });
    const publish = ['publish', 1001, 'a', 'x'.repeat(60_000)] as const;
    const all = Array.from({ length: 100 }, () => session.another(ANN));
    for (let round = 0; round < 40; round++) {
      session.turn.number++;
      for (const connection of all) if (connection.isOpen) receive(connection, [publish]);
    }
    expect(session.turns.heldBytes).toBeLessThan(80_000_000);
    const late = session.another(ANN);
    receive(late, [publish]);
    receive(late, [publish]);
    expect(late.isOpen).toBe(true);
    for (const connection of [...all, late]) connection.closed();
    session.endTurn();
    expect(session.turns.heldBytes).toBe(0);
  });

  it('may send the less in a turn the more others send in the same, and as much as ever in the next', () => {
    const session = busy({ limits: { maxPayloadBytes: 65_536 } });
    const { turnBytes } = session.connection.context.limits;
    const publish = ['publish', 1001, 'a', 'x'.repeat(60_000)] as const;
    const all = Array.from({ length: 20 }, () => session.another(ANN));
    // As uWebSockets.js reads them: all of one socket, then all of the next.
    for (const connection of all) for (let i = 0; i < 60; i++) receive(connection, [publish]);
    const perConnection = 2 * 65_536 + 60_000;
    expect(session.turns.heldNow).toBeLessThan(2 * turnBytes + all.length * perConnection);
    expect(all[0]!.isOpen).toBe(true);
    expect(all.filter(({ isOpen }) => !isOpen).length).toBeGreaterThan(15);
    session.endTurn();
    session.receive(...joins(JOINS_A_TURN, 'again'));
    const late = session.another(ANN);
    for (let i = 0; i < 20; i++) receive(late, [publish]);
    expect(late.isOpen).toBe(true);
  });

  it('has its messages decoded when their turn comes, each once', () => {
    const session = busy({ encoding: 'json' });
    const before = codecCalls.decodeCommands;
    for (let id = 1; id <= 50; id++) session.receive(['ping', id], ['ping', 100 + id]);
    expect(codecCalls.decodeCommands).toBe(before);
    session.endTurn();
    expect(codecCalls.decodeCommands).toBe(before + 50);
  });

  it('is closed with 4009 once reading it alone has taken too much CPU in a turn, and for no time', () => {
    const slow = (session: Session, cpuMs: number, messages: number) => {
      for (let id = 1; id <= messages && session.connection.isOpen; id++) {
        session.clock.advance(1);
        session.cpu.ms += cpuMs;
        session.receive(['ping', id]);
      }
      return session.socket.ends;
    };
    expect(slow(busy(), 0, 500)).toEqual([]);
    const session = busy();
    expect(slow(session, 1, 2 * READ_CPU_MS)).toEqual([]);
    // Others are read, or the turn ends: the count begins anew.
    receive(session.another(ANN), [['ping', 1]]);
    expect(slow(session, 1, 2 * READ_CPU_MS)).toEqual([]);
    session.endTurn();
    session.receive(...joins(JOINS_A_TURN, 'again'));
    expect(slow(session, 1, 2 * READ_CPU_MS)).toEqual([]);
    expect(slow(session, 1, 2)).toEqual([CLOSE.rateLimited]);
    expect(session.metrics.connections.floods.commands).toBe(1);
    expect(session.turns.heldBytes).toBe(0);
  });

  it('may send a burst within its rate to a node whose code is new', () => {
    const session = busy({ rate: [1000, 5000] });
    for (let id = 1; id <= 4000; id++) {
      session.clock.advance(0.02);
      session.cpu.ms += 0.015;
      session.receive(['ping', id]);
    }
    expect(session.socket.ends).toEqual([]);
  });

  it('is closed likewise for pings and empty messages, which wait for nothing', () => {
    for (const send of [
      ({ connection }: Session) => connection.controlFrame(),
      (session: Session) => session.receiveBytes(new Uint8Array()),
    ]) {
      const session = new Session();
      for (let sent = 0; sent < 2 * READ_CPU_MS + 2; sent++) {
        session.clock.advance(1);
        session.cpu.ms++;
        send(session);
      }
      expect(session.socket.ends).toEqual([CLOSE.rateLimited]);
    }
  });

  it('may answer heartbeats for hours, alone on a node that does nothing else', () => {
    const ends: (() => void)[] = [];
    const turn = new EndOfTurn({ atEndOfTurn: (work) => ends.push(work) }, () => turns.nextTurn());
    let cpuMs = 0;
    const turns = new CommandTurns(turn, { cpuMs: () => cpuMs });
    const connection = { carryOn: () => false };
    for (let answers = 0; answers < 100; answers++) {
      cpuMs += 2 * READ_CPU_MS;
      expect(turns.readsTooLong(connection, answers * 25_000)).toBe(false);
      for (const end of ends.splice(0)) end();
    }
  });

  it('may have as many messages waiting as its rate lets through at once, and is closed with 4009 for more', () => {
    const session = busy({ rate: [100, 5000] });
    // A hundred joins were carried out. A thousand refusals would be answered.
    for (let id = 1; id <= 6000; id++) session.receive(['ping', id]);
    expect(session.socket.ends).toEqual([]);
    session.receive(['ping', 6001]);
    expect(session.socket.ends).toEqual([CLOSE.rateLimited]);
    expect(session.metrics.limits['limits.commandsPerSecond']).toBe(1);
    expect(session.turns.heldBytes).toBe(0);
  });

  it.each(['user', 'address'] as const)(
    'is closed without its turn once its %s is closed for each command',
    (payer) => {
      const rates = { [`${payer}CommandsPerSecond`]: 1000, [`${payer}CommandBurst`]: 1000 };
      const session = new Session({ limits: rates, maxRefusals: Infinity });
      const from = (name: string) => () =>
        payer === 'user' ? session.another({ ...ANN, user: name }) : session.another(null, name);
      const [far, close] = [from('198.51.100.7'), from('203.0.113.9')];
      // As many as are carried out, then as many as are refused with an answer.
      for (let opened = 0; session.metrics.connections.floods.commands === 0; opened++) {
        receive(far(), pings(500));
        session.endTurn();
        expect(opened).toBeLessThan(20);
      }
      session.receive(...pings(UNITS_A_TURN));
      const [many, few, near] = [far(), far(), close()];
      for (let id = 1; id <= 16; id++) for (const one of [many, near]) receive(one, [['ping', id]]);
      receive(few, [['ping', 1]]);
      expect([many.isOpen, few.isOpen, near.isOpen]).toEqual([false, true, true]);
      expect(session.metrics.limits[`limits.${payer}CommandsPerSecond`]).toBeGreaterThan(1);
      while (session.turns.waiting > 0) session.endTurn();
      session.endTurn();
      expect([answered(few), answered(near)]).toEqual([1, 16]);
    },
  );

  it('gives back what it held when it is closed in the middle of it', () => {
    const session = busy({ rate: [1, JOINS_A_TURN + 4], maxRefusals: 3 });
    session.receive(...pings(50));
    session.receive(...pings(50));
    for (let turn = 0; turn < 3; turn++) session.endTurn();
    expect(session.socket.ends).toEqual([CLOSE.rateLimited]);
    expect(session.turns.heldBytes).toBe(0);
  });

  it('is not answered twice for what its own turn brought', () => {
    const session = new Session();
    session.receive(...pings(UNITS_A_TURN + 1));
    session.receive(...pings(10, UNITS_A_TURN + 2));
    session.endTurn();
    session.endTurn();
    expect(answered(session.connection)).toBe(UNITS_A_TURN + 11);
  });
});
