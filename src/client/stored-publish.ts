/** A waiting publish as JSON, with its payload as it was encoded: bytes and dates survive. */
import type { PublishOptions } from '../protocol/frames.ts';
import type { Chunk, ClientCodec } from './codec.ts';
import type { WaitingPublish } from './publish-queue.ts';

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

export function toStored({ data, ...publish }: WaitingPublish, codec: ClientCodec): StoredPublish {
  return { ...publish, encoding: codec.subprotocol, data: toText(data) };
}

/** Null: it was written by a client that spoke the other encoding. */
export function toPublish(
  { data, encoding, ...publish }: StoredPublish,
  codec: ClientCodec,
): WaitingPublish | null {
  if (encoding !== codec.subprotocol) return null;
  const isText = encoding.endsWith('json');
  return { ...publish, data: isText ? data : Uint8Array.from(atob(data), (char) => char.charCodeAt(0)) };
}

function toText(data: Chunk): string {
  if (typeof data === 'string') return data;
  let binary = '';
  for (const byte of data) binary += String.fromCharCode(byte);
  return btoa(binary);
}
