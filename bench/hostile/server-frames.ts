/** What a node sends on a WebSocket, as an attacker reads it. */
import { frameBodyAt, frameBodyLength, OPCODE } from '../../src/load/frames.ts';
import { decodeServerFrames } from '../../src/protocol/client-codec.ts';
import type { ServerFrame } from '../../src/protocol/frames.ts';
import type { Wire } from './wire.ts';

export type Arrival =
  | { readonly type: 'frames'; readonly frames: readonly ServerFrame[] }
  | { readonly type: 'close'; readonly code: number }
  | { readonly type: 'control' };

/** The next whole WebSocket frame that has arrived, or null. */
export function nextArrival(wire: Wire): Arrival | null {
  const { received } = wire;
  const bodyAt = frameBodyAt(received, 0, received.length);
  if (bodyAt < 0) return null;
  const length = frameBodyLength(received, 0);
  if (received.length < bodyAt + length) return null;
  const opcode = received[0]! & 0x0f;
  const body = wire.take(bodyAt + length).subarray(bodyAt);
  if (opcode === OPCODE.close) return { type: 'close', code: length >= 2 ? body.readUInt16BE(0) : 1005 };
  if (opcode === OPCODE.text) return { type: 'frames', frames: decodeServerFrames(body.toString()) };
  if (opcode === OPCODE.binary) return { type: 'frames', frames: decodeServerFrames(body) };
  return { type: 'control' };
}
