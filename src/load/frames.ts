/** The client's side of RFC 6455, as little of it as a load driver needs. */
import { randomBytes } from 'node:crypto';

export const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** The upgrade request, with the headers that a dialect adds. */
export function upgradeRequest(
  host: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    'Sec-WebSocket-Version: 13',
  ];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/**
 * One masked frame, as a client must send it. The key is zero: the protocol requires a key and leaves its
 * value to the client (browsers must not be predictable, so that pages cannot smuggle bytes past proxies; a
 * driver has no page). With zero, masking changes nothing, so a frame can be built once and its payload
 * written in place.
 */
export function maskedFrame(opcode: number, body: Uint8Array): { bytes: Buffer; bodyAt: number } {
  const extended = body.length < 126 ? 0 : body.length < 0x1_0000 ? 2 : 8;
  const bodyAt = 2 + extended + 4;
  const bytes = Buffer.alloc(bodyAt + body.length);
  bytes[0] = 0x80 | opcode;
  bytes[1] = 0x80 | (extended === 0 ? body.length : extended === 2 ? 126 : 127);
  if (extended === 2) bytes.writeUInt16BE(body.length, 2);
  if (extended === 8) bytes.writeBigUInt64BE(BigInt(body.length), 2);
  bytes.set(body, bodyAt);
  return { bytes, bodyAt };
}

/** Where the body of the frame at `at` starts, or -1 if its header is incomplete. */
export function frameBodyAt(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < 2) return -1;
  const short = bytes[at + 1]! & 0x7f;
  const bodyAt = short < 126 ? at + 2 : short === 126 ? at + 4 : at + 10;
  return bodyAt > end ? -1 : bodyAt;
}

/** Length of the body of the frame at `at`, whose header is complete. */
export function frameBodyLength(bytes: Uint8Array, at: number): number {
  const short = bytes[at + 1]! & 0x7f;
  if (short < 126) return short;
  if (short === 126) return (bytes[at + 2]! << 8) | bytes[at + 3]!;
  let length = 0;
  for (let i = at + 2; i < at + 10; i++) length = length * 256 + bytes[i]!;
  return length;
}
