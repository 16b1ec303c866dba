import { describe, expect, it } from 'vitest';
import { decodeServerFrames, encodeCommand } from '../../src/protocol/client-codec.ts';
import { jsonCodec, msgpackCodec } from '../../src/protocol/codec.ts';
import type { Command, CommandFrame, DecodedCommand, ServerFrame } from '../../src/protocol/frames.ts';
import { packValue, unpackValue } from '../../src/protocol/msgpack/values.ts';
import { concatBytes } from '../../src/util/bytes.ts';
import { commandBatches, commands, serverBatches, serverFrames, toHex, values } from './vectors.ts';

const utf8 = new TextEncoder();

/** The command that a node is to make of a good frame, with its payload unpacked: written without the codecs. */
function expected(frame: CommandFrame): Record<string, unknown> {
  const [type, id] = frame;
  if (type === 'ping') return { type, id };
  if (type === 'auth') return { type, id, token: frame[2] };
  const room = frame[2];
  if (type === 'join') {
    const { since = null, resume = false, last = null, data = null, members = false } = frame[3] ?? {};
    return { type, id, room, since, resume, last, data, members };
  }
  if (type === 'ack') return { type, id, room, position: frame[3] };
  if (type === 'history') {
    return { type, id, room, since: frame[3]?.since ?? null, limit: frame[3]?.limit ?? null };
  }
  if (type === 'members') {
    return { type, id, room, limit: frame[3]?.limit ?? null, after: frame[3]?.after ?? null };
  }
  if (type === 'presence') return { type, id, room, data: frame[3] };
  if (type !== 'publish') return { type, id, room };
  const { key = null, echo = true, ephemeral = false, conflateKey = null } = frame[4] ?? {};
  return { type, id, room, data: frame[3], key, echo, ephemeral, conflateKey };
}

function withDataUnpacked(command: DecodedCommand): unknown {
  if (!('data' in command) || command.data === null) return command;
  return { ...command, data: unpackValue(command.data) };
}

/** What a JSON reader gets where the value holds bytes, dates or floats that JSON lacks. */
function asJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return JSON.parse(
    JSON.stringify(value, (_, inner) => (inner instanceof Uint8Array ? asJson(inner) : inner)),
  );
}

describe('commands', () => {
  it.each(commands)('$name: a client writes exactly these bytes and this text', ({ value, bytes, json }) => {
    expect(toHex(encodeCommand(value as CommandFrame, 'msgpack') as Uint8Array)).toBe(toHex(bytes));
    expect(encodeCommand(value as CommandFrame, 'json')).toBe(json);
  });

  it.each(commands)('$name: a node reads the same command from both', ({ value, bytes, json }) => {
    const command = expected(value as CommandFrame);
    expect(msgpackCodec.decodeCommands(bytes).map(withDataUnpacked)).toEqual([command]);
    expect(jsonCodec.decodeCommands(utf8.encode(json)).map(withDataUnpacked)).toEqual([command]);
  });

  const spellings = commands.flatMap(({ value, alternatives }) =>
    alternatives.map((bytes) => ({ hex: toHex(bytes), bytes, value })),
  );
  it.each(spellings)('$hex: a node takes this spelling too', ({ bytes, value }) => {
    expect(msgpackCodec.decodeCommands(bytes).map(withDataUnpacked)).toEqual([
      expected(value as CommandFrame),
    ]);
  });

  it.each(commandBatches)('$name: several in one message come in order', ({ value, bytes, json }) => {
    const all = (value as CommandFrame[]).map(expected);
    expect(msgpackCodec.decodeCommands(bytes).map(withDataUnpacked)).toEqual(all);
    expect(jsonCodec.decodeCommands(utf8.encode(json)).map(withDataUnpacked)).toEqual(all);
  });
});

describe('frames from a node', () => {
  it.each(serverFrames)(
    '$name: a node writes exactly these bytes and this text',
    ({ value, bytes, json }) => {
      expect(toHex(msgpackCodec.encode(value as ServerFrame) as Uint8Array)).toBe(toHex(bytes));
      expect(jsonCodec.encode(value as ServerFrame)).toBe(json);
    },
  );

  it.each(serverFrames)('$name: a client reads the frame from both', ({ value, bytes, json }) => {
    expect(decodeServerFrames(bytes)).toEqual([value]);
    expect(decodeServerFrames(json)).toEqual([asJson(value)]);
  });

  it.each(serverBatches)(
    '$name: joined, they are one message with the frames in order',
    ({ value, bytes, json }) => {
      const frames = value as ServerFrame[];
      expect(msgpackCodec.join(frames.map((frame) => msgpackCodec.encode(frame)))).toEqual(bytes);
      expect(jsonCodec.join(frames.map((frame) => jsonCodec.encode(frame)))).toBe(json);
      expect(decodeServerFrames(bytes)).toEqual(frames);
      expect(decodeServerFrames(json)).toEqual(asJson(frames));
    },
  );
});

describe('values', () => {
  it.each(values)('$name: packs to exactly these bytes and back', ({ value, bytes }) => {
    expect(toHex(packValue(value))).toBe(toHex(bytes));
    expect(unpackValue(bytes)).toEqual(value);
  });

  it.each(values)('$name: a publish carries the bytes as they came', ({ bytes }) => {
    const head = Uint8Array.of(0x94, 0xa7, ...utf8.encode('publish'), 1, 0xa1, 0x72);
    const message = concatBytes([head, bytes]);
    const [command] = msgpackCodec.decodeCommands(message) as Command[];
    expect(command?.type === 'publish' && toHex(command.data)).toBe(toHex(bytes));
    expect(command?.type === 'publish' && command.data.buffer).toBe(message.buffer);
  });

  it.each(values)('$name: appears to JSON connections as this text', ({ value, json }) => {
    const text = jsonCodec.encode(['message', 'r', 1, 2, null, value]);
    expect(text).toBe(`["message","r",1,2,null,${json}]`);
  });
});
