import { describe, expect, it } from 'vitest';
import { createDialect as centrifugo } from '../../bench/server/centrifugo-dialect.ts';
import { createDialect as plain } from '../../bench/server/plain-dialect.ts';
import { createDialect as socketIo } from '../../bench/server/socket.io-dialect.ts';
import { LoadConnection } from '../../src/load/connection.ts';
import type { Dialect } from '../../src/load/dialect.ts';
import { frameBodyAt, maskedFrame } from '../../src/load/frames.ts';
import { createPayload, stampPayload } from '../../src/load/payload.ts';
import { Tally, WATCH } from '../../src/load/tally.ts';

const PAYLOAD_BYTES = 24;
const OPTIONS = { payloadBytes: PAYLOAD_BYTES };
const ROOM = 'bench:3';

/** A connection whose frames are kept instead of sent: masking with zero leaves their bodies as they are. */
class Recorded extends LoadConnection {
  readonly sent: string[] = [];

  override write(bytes: Uint8Array): void {
    const bodyAt = frameBodyAt(bytes, 0, bytes.length) + 4;
    this.sent.push(Buffer.from(bytes.subarray(bodyAt)).toString());
  }
}

function bench(dialect: Dialect, roomName: string | null = ROOM) {
  const tally = new Tally();
  const connection = new Recorded({ roomName, room: 3, watches: WATCH.none }, dialect, tally);
  // Messages stand somewhere in a larger buffer.
  const inBuffer = (message: string | Uint8Array): [Buffer, number, number] => {
    const bytes = Buffer.concat([Buffer.from('##'), Buffer.from(message as string), Buffer.from('##')]);
    return [bytes, 2, bytes.length - 2];
  };
  return {
    tally,
    connection,
    opened: (message: string) => dialect.opened(connection, ...inBuffer(message), tally),
    receive: (message: string | Uint8Array) => dialect.receive(connection, ...inBuffer(message), tally),
  };
}

function payload(counter: number, publisher = 0): string {
  const bytes = createPayload(PAYLOAD_BYTES, 3, publisher);
  stampPayload(bytes, 0, counter, 1000);
  return Buffer.from(bytes).toString('latin1');
}

/** The body that a publish sends with this payload in its place. */
function published(dialect: Dialect, counter: number): string {
  const { opcode, body, payloadAt } = dialect.publish(ROOM, Buffer.from(payload(0)));
  const frame = maskedFrame(opcode, body);
  stampPayload(frame.bytes, frame.bodyAt + payloadAt, counter, 1000);
  return frame.bytes.subarray(frame.bodyAt).toString();
}

describe('the plain dialect', () => {
  it('is ready when the server says joined', () => {
    const { opened } = bench(plain(OPTIONS));
    expect(opened('joined')).toBe(true);
  });

  it('counts a message as it was published, and what its publisher counted', () => {
    const dialect = plain(OPTIONS);
    const { receive, tally } = bench(dialect);
    for (const counter of [1, 2, 4, 3, 3]) receive(published(dialect, counter));
    expect(tally).toMatchObject({ delivered: 5, reordered: 1, repeated: 1 });
  });
});

describe('the Socket.IO dialect', () => {
  const OPEN = '0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}';

  it('connects, joins and is ready when the server says joined', () => {
    const { opened, connection } = bench(socketIo(OPTIONS));
    expect([opened(OPEN), opened('40{"sid":"b"}'), opened('42["joined"]')]).toEqual([false, false, true]);
    expect(connection.sent).toEqual(['40', '42["join","bench:3"]']);
  });

  it('is ready once connected where it only publishes', () => {
    const { opened, connection } = bench(socketIo(OPTIONS), null);
    expect([opened(OPEN), opened('40{"sid":"b"}')]).toEqual([false, true]);
    expect(connection.sent).toEqual(['40']);
  });

  it('publishes an event with the payload as it stands', () => {
    expect(published(socketIo(OPTIONS), 7)).toBe(`42["publish","bench:3","${payload(7)}"]`);
  });

  it('finds payloads without parsing, and checks each publisher', () => {
    const { receive, tally, connection } = bench(socketIo(OPTIONS));
    for (const counter of [1, 2, 2]) receive(`42["m","${payload(counter)}"]`);
    receive(`42["m","${payload(1, 5)}"]`);
    expect(tally).toMatchObject({ delivered: 4, repeated: 1, reordered: 0, troubles: 0 });
    expect(connection.lastId).toBe('');
  });

  it('answers pings of the engine, before and after it is ready', () => {
    const { opened, receive, connection, tally } = bench(socketIo(OPTIONS));
    expect(opened('2')).toBe(false);
    receive('2');
    expect(connection.sent).toEqual(['3', '3']);
    expect(tally.troubles).toBe(0);
  });

  it('takes anything else for trouble', () => {
    const { receive, tally, opened } = bench(socketIo(OPTIONS));
    receive('41');
    expect(tally).toMatchObject({ troubles: 1, firstTrouble: '41' });
    expect(() => opened('44{"message":"no"}')).toThrow('44{"message":"no"}');
  });

  it('comes back with its private id and its last offset, and is a member if the server recovered it', () => {
    const { opened, receive, connection, tally } = bench(socketIo(OPTIONS));
    for (const packet of [OPEN, '40{"sid":"b","pid":"P"}', '42["joined","5-0"]']) opened(packet);
    expect(connection.lastId).toBe('5-0');
    receive(`42["m","${payload(1)}","6-0"]`);
    connection.sent.length = 0;

    opened(OPEN);
    expect(connection.sent).toEqual(['40{"pid":"P","offset":"6-0"}']);
    expect(opened(`42["m","${payload(2)}","7-1"]`)).toBe(false);
    expect(opened('40{"sid":"b","pid":"P"}')).toBe(true);
    expect(tally).toMatchObject({ delivered: 2, repeated: 0 });
    expect(connection.lastId).toBe('7-1');
  });

  it('joins anew where the server did not recover it', () => {
    const { opened, connection } = bench(socketIo(OPTIONS));
    for (const packet of [OPEN, '40{"sid":"b","pid":"P"}', '42["joined","5-0"]', OPEN]) opened(packet);
    expect(opened('40{"sid":"c","pid":"Q"}')).toBe(false);
    expect(connection.sent.at(-1)).toBe('42["join","bench:3"]');
    expect(connection).toMatchObject({ session: 'Q', lastId: '' });
  });
});

describe('the Centrifugo dialect', () => {
  const CONNECTED = '{"id":1,"connect":{"client":"c","version":"6","ping":25,"pong":true}}';
  const push = (counter: number, offset: number): string =>
    `{"push":{"channel":"bench:3","pub":{"data":"${payload(counter)}","info":{"client":"c"},"offset":${offset}}}}`;

  it('connects, subscribes and begins where the channel stands', () => {
    const dialect = centrifugo(OPTIONS);
    const { opened, connection } = bench(dialect);
    expect(Buffer.from(dialect.opening(connection)!.body).toString()).toBe('{"id":1,"connect":{}}');
    expect(opened(CONNECTED)).toBe(false);
    expect(connection.sent).toEqual(['{"id":2,"subscribe":{"channel":"bench:3"}}']);
    expect(
      opened('{"id":2,"subscribe":{"recoverable":true,"epoch":"E","offset":41,"positioned":true}}'),
    ).toBe(true);
    expect(connection).toMatchObject({ session: 'E', lastOffset: 41 });
  });

  it('is ready once connected where it only publishes', () => {
    expect(bench(centrifugo(OPTIONS), null).opened(CONNECTED)).toBe(true);
  });

  it('publishes into the channel', () => {
    const body = published(centrifugo(OPTIONS), 9);
    expect(JSON.parse(body)).toEqual({ id: 3, publish: { channel: ROOM, data: payload(9) } });
  });

  it('takes several replies from one message: publications, acknowledgements and pings', () => {
    const { receive, connection, tally } = bench(centrifugo(OPTIONS));
    receive(`${push(1, 1)}\n{"id":3,"publish":{}}\n{}\n${push(2, 2)}\n`);
    expect(tally).toMatchObject({ delivered: 2, acknowledged: 1, troubles: 0, repeated: 0 });
    expect(connection.sent).toEqual(['{}']);
    expect(connection.lastOffset).toBe(2);
  });

  it('holds offsets against the last one', () => {
    const { receive, tally } = bench(centrifugo(OPTIONS));
    for (const offset of [1, 3, 2, 3]) receive(push(offset, offset));
    expect(tally).toMatchObject({ delivered: 4, reordered: 1, repeated: 1 });
  });

  it('asks for what it missed when it comes back, and counts it', () => {
    const { opened, receive, connection, tally } = bench(centrifugo(OPTIONS));
    opened(CONNECTED);
    opened('{"id":2,"subscribe":{"recoverable":true,"epoch":"E"}}');
    receive(push(1, 1));
    opened(CONNECTED);
    expect(connection.sent.at(-1)).toBe(
      '{"id":2,"subscribe":{"channel":"bench:3","recover":true,"epoch":"E","offset":1}}',
    );
    const missed = [2, 3].map((offset) => ({ data: payload(offset), offset }));
    const answer = { epoch: 'E', publications: missed, recovered: true, offset: 3 };
    expect(opened(JSON.stringify({ id: 2, subscribe: answer }))).toBe(true);
    expect(tally).toMatchObject({ delivered: 3, reordered: 0, repeated: 0 });
    expect(connection.lastOffset).toBe(3);
  });

  it('takes an error for trouble, and a refusal for a failure', () => {
    const { opened, receive, tally } = bench(centrifugo(OPTIONS));
    receive('{"id":3,"error":{"code":103,"message":"permission denied"}}');
    expect(tally.troubles).toBe(1);
    expect(() => opened('{"id":2,"error":{"code":103,"message":"permission denied"}}')).toThrow('103');
  });
});
