/** A waiting publish as JSON, with its payload as it was encoded: bytes and dates survive. */
import type { PublishOptions } from '../protocol/frames.ts';
import type { Chunk, ClientCodec } from './codec.ts';
import { RoomcastError } from './errors.ts';
import type { Entry, Publish } from './queue-entry.ts';

export interface StoredPublish {
  readonly room: string;
  /** The subprotocol whose encoding `data` has. */
  readonly encoding: string;
  /** JSON, or base64 of MessagePack. */
  readonly data: string;
  readonly options: PublishOptions;
  /** When it was first sent without an answer, in milliseconds since the Unix epoch; null: surely not stored by a node. */
  readonly doubtfulSinceMs: number | null;
}

/** One that waited when the page was closed. */
export interface WaitingPublish extends Publish {
  readonly doubtfulSinceMs: number | null;
}

type Fields = Pick<Entry, 'room' | 'data' | 'options' | 'sentAt' | 'doubtfulSince'>;

/** What is on its way may be stored by a node, so it counts as doubtful. */
export function toStored(
  { room, data, options, sentAt, doubtfulSince }: Fields,
  codec: ClientCodec,
): StoredPublish {
  const doubtfulSinceMs = (doubtfulSince ?? sentAt)?.wallMs ?? null;
  return { room, options, doubtfulSinceMs, encoding: codec.subprotocol, data: toText(data) };
}

/** Null: it was written by a client that spoke the other encoding. Throws for what no client wrote: it would end the connection. */
export function toPublish(stored: StoredPublish, codec: ClientCodec): WaitingPublish | null {
  const { room, data, encoding, options, doubtfulSinceMs } = stored;
  if (encoding !== codec.subprotocol) return null;
  const isText = encoding.endsWith('json');
  const packed = isText ? data : Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
  codec.unpack(packed);
  const isMoment = doubtfulSinceMs === null || Number.isFinite(doubtfulSinceMs);
  if (typeof room !== 'string' || typeof options?.key !== 'string' || !isMoment) {
    throw new RoomcastError('a stored publish is damaged, and left out');
  }
  return { room, data: packed, options, doubtfulSinceMs };
}

function toText(data: Chunk): string {
  if (typeof data === 'string') return data;
  let binary = '';
  for (const byte of data) binary += String.fromCharCode(byte);
  return btoa(binary);
}
