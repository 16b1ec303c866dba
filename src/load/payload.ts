/**
 * What the driver writes at the start of every payload, so that a delivery can be checked wherever it
 * arrives:
 *
 *   at  digits  field
 *    0    3     room, by index
 *    3    3     publisher, by index within its room
 *    6    6     the publisher's own counter, from 1
 *   12    8     when it was (or, in an open loop, should have been) sent, in microseconds
 *
 * A digit is five bits in a byte from 0x60 to 0x7f: text in every encoding, without characters that JSON
 * would escape. The rest is padding. A payload is always at the end of its message, so that it is found
 * without decoding what is before.
 */
export const PAYLOAD_HEAD_BYTES = 20;

const AT_PUBLISHER = 3;
const AT_COUNTER = 6;
const AT_SENT = 12;
const DIGIT = 0x60;
const HALF = 2 ** 20;

/** Times are kept modulo this many microseconds. */
const CLOCK_WRAP = 2 ** 40;

export function createPayload(bytes: number, room: number, publisher: number): Uint8Array {
  if (bytes < PAYLOAD_HEAD_BYTES)
    throw new Error(`a payload must have at least ${PAYLOAD_HEAD_BYTES} bytes, got ${bytes}`);
  const payload = new Uint8Array(bytes).fill('x'.charCodeAt(0));
  writeDigits(payload, 0, 3, room);
  writeDigits(payload, AT_PUBLISHER, 3, publisher);
  return payload;
}

export function stampPayload(bytes: Uint8Array, at: number, counter: number, sentUs: number): void {
  const sent = sentUs % CLOCK_WRAP;
  writeDigits(bytes, at + AT_COUNTER, 6, counter);
  writeDigits(bytes, at + AT_SENT, 4, Math.floor(sent / HALF));
  writeDigits(bytes, at + AT_SENT + 4, 4, sent % HALF);
}

export function payloadRoom(bytes: Uint8Array, at: number): number {
  return threeDigits(bytes, at);
}

export function payloadPublisher(bytes: Uint8Array, at: number): number {
  return threeDigits(bytes, at + AT_PUBLISHER);
}

export function payloadCounter(bytes: Uint8Array, at: number): number {
  return (threeDigits(bytes, at + AT_COUNTER) << 15) | threeDigits(bytes, at + AT_COUNTER + 3);
}

/** Microseconds between the time in the payload and now. */
export function payloadAgeUs(bytes: Uint8Array, at: number, nowUs: number): number {
  const sent = fourDigits(bytes, at + AT_SENT) * HALF + fourDigits(bytes, at + AT_SENT + 4);
  const age = (nowUs % CLOCK_WRAP) - sent;
  return age < -CLOCK_WRAP / 2 ? age + CLOCK_WRAP : age;
}

function writeDigits(bytes: Uint8Array, at: number, count: number, value: number): void {
  for (let i = count - 1; i >= 0; i--) {
    bytes[at + i] = DIGIT | (value & 0x1f);
    value >>>= 5;
  }
}

function threeDigits(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! & 0x1f) << 10) | ((bytes[at + 1]! & 0x1f) << 5) | (bytes[at + 2]! & 0x1f);
}

function fourDigits(bytes: Uint8Array, at: number): number {
  return (threeDigits(bytes, at) << 5) | (bytes[at + 3]! & 0x1f);
}
