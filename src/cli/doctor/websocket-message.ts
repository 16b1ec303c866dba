/** WebSocket messages (RFC 6455) as a server sends them: whole, and without a mask. */

export interface TakenMessage {
  /** `other`: pings and the like, which nobody who stays for a second has to answer. */
  readonly kind: 'text' | 'close' | 'other';
  readonly payload: Buffer;
  /** What follows it. */
  readonly rest: Buffer;
}

const TEXT = 1;
const CLOSE = 8;

/** The first message in these bytes, or null where it is not complete. Throws for what no server may send. */
export function takeMessage(bytes: Buffer): TakenMessage | null {
  if (bytes.length < 2) return null;
  if ((bytes[1]! & 0x80) !== 0) throw new Error('the answer is not WebSocket: a server must not mask');
  const short = bytes[1]! & 0x7f;
  const headBytes = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (bytes.length < headBytes) return null;
  const length = payloadBytes(bytes, short);
  if (bytes.length < headBytes + length) return null;
  const opcode = bytes[0]! & 0x0f;
  return {
    kind: opcode === TEXT ? 'text' : opcode === CLOSE ? 'close' : 'other',
    payload: bytes.subarray(headBytes, headBytes + length),
    rest: bytes.subarray(headBytes + length),
  };
}

function payloadBytes(bytes: Buffer, short: number): number {
  if (short === 126) return bytes.readUInt16BE(2);
  return short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
}
