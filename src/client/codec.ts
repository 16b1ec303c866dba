/** How frames become WebSocket messages. There are two: MessagePack, and JSON for a smaller bundle. */
import type { CommandFrame, PublishOptions, ServerFrame } from '../protocol/frames.ts';

/** A payload that was encoded when it was published: what the caller changes later has no effect. Also one or more frames. */
export type Chunk = Uint8Array<ArrayBuffer> | string;

export interface ClientCodec {
  readonly subprotocol: string;
  /** Throws for values that cannot be sent, such as circular ones. */
  pack(data: unknown): Chunk;
  unpack(data: Chunk): unknown;
  encode(frame: CommandFrame): Chunk;
  encodePublish(id: number, room: string, data: Chunk, options: PublishOptions): Chunk;
  /** Frames as one WebSocket message. */
  join(chunks: readonly Chunk[]): Chunk;
  /** Bytes that it takes in a WebSocket message. */
  sizeOf(chunk: Chunk): number;
  /** All frames of one WebSocket message. Throws for anything else. */
  decode(message: unknown): ServerFrame[];
}

/** Options as a map: both codecs leave out what is undefined. */
export function fields<T extends object>(options: { readonly [K in keyof T]: T[K] | undefined }): T {
  return options as T;
}
