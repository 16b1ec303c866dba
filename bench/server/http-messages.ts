/** Bodies of publishes over HTTP, with the driver's payloads in them, so that each delivery can be checked. */
import { nowUs } from '../../src/load/clock.ts';
import { createPayload, stampPayload } from '../../src/load/payload.ts';

export interface MessagesPlan {
  /** See `Contender.http`. A batch there is only in `json`. */
  readonly body: 'plain' | 'json';
  readonly rooms: number;
  readonly payloadBytes: number;
  /** Messages in a request; null for the route that takes one, without a list around it. */
  readonly batch: number | null;
}

/** A message in a body. */
interface Slot {
  readonly room: number;
  readonly payloadAt: number;
}

interface Template {
  readonly bytes: Buffer;
  readonly slots: readonly Slot[];
}

/** One publisher, who takes the rooms in turn. Bodies are built once; only the stamps in them change. */
export class HttpMessages {
  readonly #templates: readonly Template[];
  readonly #counters: number[];
  #next = 0;

  /** `publisher`: its index, below 32,768. */
  constructor(publisher: number, { body, rooms, payloadBytes, batch }: MessagesPlan) {
    const payloads = Array.from({ length: rooms }, (_, room) => createPayload(payloadBytes, room, publisher));
    const build = body === 'plain' ? plainMessage : jsonMessage;
    const messages = payloads.map((payload, room) => build(room, payload));
    this.#templates = batch === null ? messages : [batchOf(messages, batch)];
    this.#counters = payloads.map(() => 0);
  }

  /** The next body. Its bytes are written over when its template's turn comes again. */
  next(): Buffer {
    const { bytes, slots } = this.#templates[this.#next]!;
    this.#next = (this.#next + 1) % this.#templates.length;
    const sentUs = nowUs();
    for (const { room, payloadAt } of slots) {
      const counter = this.#counters[room]! + 1;
      this.#counters[room] = counter;
      stampPayload(bytes, payloadAt, counter, sentUs);
    }
    return bytes;
  }
}

function plainMessage(room: number, payload: Uint8Array): Template {
  const name = Buffer.from(roomName(room));
  const bytes = Buffer.concat([Buffer.of(name.length), name, payload]);
  return { bytes, slots: [{ room, payloadAt: 1 + name.length }] };
}

function jsonMessage(room: number, payload: Uint8Array): Template {
  const head = Buffer.from(`{"room":${JSON.stringify(roomName(room))},"data":"`);
  const bytes = Buffer.concat([head, payload, Buffer.from('"}')]);
  return { bytes, slots: [{ room, payloadAt: head.length }] };
}

/** So many messages, the rooms in turn. */
function batchOf(messages: readonly Template[], count: number): Template {
  const parts: Buffer[] = [Buffer.from('{"messages":[')];
  const slots: Slot[] = [];
  let at = parts[0]!.length;
  for (let i = 0; i < count; i++) {
    const { bytes, slots: own } = messages[i % messages.length]!;
    for (const { room, payloadAt } of own) slots.push({ room, payloadAt: at + payloadAt });
    parts.push(bytes, Buffer.from(i === count - 1 ? ']}' : ','));
    at += bytes.length + 1;
  }
  return { bytes: Buffer.concat(parts), slots };
}

/** As the driver calls them; see `Audience`. */
function roomName(room: number): string {
  return `bench:${room}`;
}
