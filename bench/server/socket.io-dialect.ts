import type { Dialect, DialectOptions, PublishTemplate } from '../../src/load/dialect.ts';
import { maskedFrame, OPCODE } from '../../src/load/frames.ts';
import type { DialectMember, WireMessage } from '../../src/load/member.ts';
import type { Tally } from '../../src/load/tally.ts';
import { startsWith } from '../../src/util/bytes.ts';

/** An Engine.IO packet is its type in one digit and what it carries; here 4 (a message) carries Socket.IO packets. */
const PING = 0x32;
const PONG = maskedFrame(OPCODE.text, Buffer.from('3')).bytes;
const MESSAGE = Buffer.from('42["m","');
/** Between the payload and the id that recoverable packets end with, and behind that. */
const ID_BEGIN = Buffer.from('","');
const ID_END = Buffer.from('"]');

/**
 * Engine.IO 4 and Socket.IO 5 in text, without a library: one WebSocket message is one packet. Where the server offers
 * recovery, a connection keeps its private id and the id of the last packet, and comes back with both; a packet that
 * carries an id costs the driver a string. Nothing is numbered, so each publisher's own counter is checked.
 */
export function createDialect({ payloadBytes, path = '/socket.io/' }: DialectOptions): Dialect {
  return {
    upgrade: () => ({ path: `${path}?EIO=4&transport=websocket`, headers: {} }),
    opening: () => null,

    opened(connection, bytes, at, end, tally) {
      if (!startsWith(bytes, at, MESSAGE)) return open(connection, textOf(bytes, at, end));
      deliver(connection, bytes, at, end, payloadBytes, tally);
      return false;
    },

    publish(room: string, payload: Uint8Array): PublishTemplate {
      const head = Buffer.from(`42["publish",${JSON.stringify(room)},"`);
      const body = Buffer.concat([head, payload, ID_END]);
      return { opcode: OPCODE.text, body, payloadAt: head.length };
    },

    receive(connection, bytes, at, end, tally) {
      if (startsWith(bytes, at, MESSAGE)) deliver(connection, bytes, at, end, payloadBytes, tally);
      else if (bytes[at] === PING && end === at + 1) connection.write(PONG);
      else tally.trouble(textOf(bytes, at, end));
    },
  };
}

/** A packet before the connection is ready: Engine.IO opens, Socket.IO connects, the server's own `joined`. */
function open(connection: DialectMember, packet: string): boolean {
  if (packet === '2') connection.write(PONG);
  else if (packet.startsWith('0')) connection.send(text(`40${credentials(connection)}`));
  else if (packet.startsWith('40')) return connected(connection, JSON.parse(packet.slice(2)));
  else if (packet.startsWith('42["joined"')) return joined(connection, JSON.parse(packet.slice(2)));
  else throw new Error(`a connection was refused: ${packet}`);
  return false;
}

/** What asks for recovery. */
function credentials({ session, lastId }: DialectMember): string {
  return session === '' || lastId === '' ? '' : JSON.stringify({ pid: session, offset: lastId });
}

/** Where the private id is the old one, the session was recovered, room and all: what was missed has come before this. */
function connected(connection: DialectMember, { pid = '' }: { readonly pid?: string }): boolean {
  const isRecovered = pid !== '' && pid === connection.session;
  connection.session = pid;
  if (connection.roomName === null || isRecovered) return true;
  connection.lastId = '';
  connection.send(text(`42["join",${JSON.stringify(connection.roomName)}]`));
  return false;
}

/** With recovery, this packet has an id as well: a member that then hears nothing can come back all the same. */
function joined(connection: DialectMember, [, id = '']: readonly [string, string?]): boolean {
  connection.lastId = id;
  return true;
}

function deliver(
  connection: DialectMember,
  bytes: Uint8Array,
  at: number,
  end: number,
  payloadBytes: number,
  tally: Tally,
): void {
  const payloadAt = at + MESSAGE.length;
  const idAt = payloadAt + payloadBytes + ID_BEGIN.length;
  tally.checkCounter(connection, bytes, payloadAt);
  if (idAt < end) connection.lastId = textOf(bytes, idAt, end - ID_END.length);
  tally.deliver(connection, bytes, payloadAt);
}

function text(packet: string): WireMessage {
  return { opcode: OPCODE.text, body: Buffer.from(packet) };
}

/** What is read is in a Buffer, whatever its type says; the copy is for the rest. */
function textOf(bytes: Uint8Array, at: number, end: number): string {
  return bytes instanceof Buffer
    ? bytes.toString('latin1', at, end)
    : Buffer.from(bytes).toString('latin1', at, end);
}
