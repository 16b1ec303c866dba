/** A WebSocket of an attacker: one input after the other, and after each a ping whose answer says that it was handled. */
import { maskedFrame, OPCODE } from '../../src/load/frames.ts';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import type { ServerFrame } from '../../src/protocol/frames.ts';
import type { Encoding } from '../../src/protocol/subprotocol.ts';
import type { Random } from '../../test/support/random.ts';
import type { HostileInput } from './inputs.ts';
import type { Ledger } from './ledger.ts';
import { upgradeWith } from './requests.ts';
import { nextArrival } from './server-frames.ts';
import { type Target, Wire } from './wire.ts';

/** A node that hangs for so long has failed. */
export const PATIENCE_MS = 20_000;
/** Ids of pings: no input has one of these. */
const FIRST_PING = 2 ** 41;
const MOST_INPUTS = 100;
const AGAIN_MS = 20;

export class Peer {
  readonly #target: Target;
  readonly #encoding: Encoding;
  readonly #ledger: Ledger;
  readonly #random: Random;
  #wire: Wire | null = null;
  #left = 0;
  #ping = FIRST_PING;

  constructor(target: Target, encoding: Encoding, ledger: Ledger, random: Random) {
    this.#target = target;
    this.#encoding = encoding;
    this.#ledger = ledger;
    this.#random = random;
  }

  /** Resolves when the node has dealt with the input. Rejects if it no longer answers. */
  async send(input: HostileInput): Promise<void> {
    const wire = this.#wire ?? (await this.#open());
    const ping = this.#ping++;
    const seen: string[] = [];
    wire.write(input.bytes);
    if (input.isBroken) wire.end();
    else wire.write(this.#pingFrame(ping));
    const closed = await this.#until(wire, (frame) => note(frame, ping, seen, this.#ledger));
    this.#ledger.outcome(input.kind, outcomeOf(closed, seen));
    if (closed !== null) return this.#gone(closed);
    if (--this.#left <= 0) await this.close();
  }

  /** In one of the ways in which peers go. */
  async close(): Promise<void> {
    const wire = this.#wire;
    if (wire === null) return;
    if (this.#random.next() < 0.3) {
      wire.destroy();
      return this.#gone(1006);
    }
    if (this.#random.next() < 0.5) wire.end();
    else wire.write(maskedFrame(OPCODE.close, Buffer.from([0x03, 0xe8])).bytes);
    const closed = await this.#until(wire, (frame) => note(frame, -1, [], this.#ledger));
    this.#gone(closed ?? 1006);
  }

  #gone(code: number): void {
    this.#ledger.closed(code);
    this.#wire?.socket.destroy();
    this.#wire = null;
  }

  async #open(): Promise<Wire> {
    const deadline = performance.now() + PATIENCE_MS;
    while (performance.now() < deadline) {
      const wire = await Wire.open(this.#target, this.#random.whole(0, 1000));
      this.#ledger.sockets++;
      wire.write(upgradeWith([`Sec-WebSocket-Protocol: roomcast.v1.${this.#encoding}`]));
      if (await this.#upgraded(wire)) {
        this.#wire = wire;
        this.#left = this.#random.whole(1, MOST_INPUTS);
        return wire;
      }
      this.#ledger.upgradesRefused++;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
    throw new Error('the node accepts no WebSocket any more');
  }

  async #upgraded(wire: Wire): Promise<boolean> {
    for (;;) {
      const end = wire.received.indexOf('\r\n\r\n');
      if (end >= 0) {
        const isOpen = wire.take(end + 4).toString('latin1', 0, 12) === 'HTTP/1.1 101';
        if (isOpen) this.#ledger.opened++;
        else wire.socket.destroy();
        return isOpen;
      }
      if (wire.isClosed) return false;
      if (!(await wire.more(PATIENCE_MS))) throw new Error('the node does not answer an upgrade');
    }
  }

  /** Resolves with null once `isDone` says so, or with the close code. */
  async #until(wire: Wire, isDone: (frame: ServerFrame) => boolean): Promise<number | null> {
    for (;;) {
      for (let next = nextArrival(wire); next !== null; next = nextArrival(wire)) {
        if (next.type === 'close') return next.code;
        // All frames of a message are noted, also those behind the one that is waited for.
        if (next.type === 'frames' && next.frames.map(isDone).includes(true)) return null;
      }
      if (wire.isClosed) return 1006;
      if (!(await wire.more(PATIENCE_MS))) throw new Error('the node neither answers nor closes');
    }
  }

  #pingFrame(id: number): Buffer {
    const body = encodeCommand(['ping', id], this.#encoding);
    return maskedFrame(this.#encoding === 'json' ? OPCODE.text : OPCODE.binary, Buffer.from(body)).bytes;
  }
}

/** Counts what is an error; returns whether it answers the ping. */
function note(frame: ServerFrame, ping: number, seen: string[], ledger: Ledger): boolean {
  if (frame[0] !== 'ok' && frame[0] !== 'error') return false;
  if (frame[0] === 'error') ledger.error(frame[2]);
  if (frame[1] === ping) return true;
  seen.push(frame[0] === 'ok' ? 'ok' : `error ${frame[2]}`);
  return false;
}

/** The worst that came of it. */
function outcomeOf(closed: number | null, seen: readonly string[]): string {
  if (closed !== null) return `closed ${closed}`;
  return seen.find((one) => one !== 'ok') ?? seen[0] ?? 'no reply asked for';
}
