import { connect, type Socket } from 'node:net';
import { nowUs } from './clock.ts';
import type { Dialect } from './dialect.ts';
import { frameBodyAt, frameBodyLength, maskedFrame, OPCODE, upgradeRequest } from './frames.ts';
import type { Tally } from './tally.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface ConnectionPlan {
  /** Name and index of the one room that it is in. */
  readonly roomName: string;
  readonly room: number;
  /** Index within the room, or -1 for a member that only listens. */
  readonly publisher: number;
}

/**
 * One buffer that all sockets of the process read into: a read and its callback are one step, and nothing is kept of what
 * was read but the start of a frame that has not ended. It spares an allocation for every read.
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(512 * 1024);
const HEAD_END = Buffer.from('\r\n\r\n');

/** One member: a raw TCP socket that speaks just enough WebSocket. `ws` would cost several times what it measures. */
export class BenchConnection {
  readonly room: number;
  readonly publisher: number;
  /** Last number seen: of the room where it numbers messages, else by publisher. */
  lastOffset = 0;
  readonly lastOf: number[] = [];
  /** Numbers that were passed over; made when needed. */
  missing: Set<number> | null = null;
  readonly #dialect: Dialect;
  readonly #tally: Tally;
  #socket: Socket | null = null;
  #rest: Buffer | null = null;
  #stage: 'upgrading' | 'joining' | 'joined' | 'closed' = 'upgrading';
  #joined: () => void = ignore;
  #failed: (error: Error) => void = ignore;

  constructor(plan: ConnectionPlan, dialect: Dialect, tally: Tally) {
    this.room = plan.room;
    this.publisher = plan.publisher;
    this.#dialect = dialect;
    this.#tally = tally;
  }

  /** Connects, upgrades and joins. `chunkRead` is called after each chunk that was handled. Called once. */
  open(target: Target, roomName: string, chunkRead: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#joined = resolve;
      this.#failed = reject;
      const callback = (length: number, buffer: Uint8Array): boolean => {
        this.#read(buffer as Buffer, length, roomName);
        chunkRead();
        return true;
      };
      const socket = connect({ ...target, noDelay: true, onread: { buffer: READ_BUFFER, callback } });
      this.#socket = socket;
      const request = upgradeRequest(target.host, this.#dialect.path(roomName), this.#dialect.subprotocol);
      socket.once('connect', () => socket.write(request));
      socket.on('error', (error) => this.#lost(error));
      socket.on('close', () => this.#lost(new Error('the server closed a connection')));
    });
  }

  /** Writes WebSocket frames that are complete. The bytes must stay as they are. */
  write(bytes: Uint8Array): void {
    this.#socket?.write(bytes);
  }

  /** Drops the connection. */
  close(): void {
    this.#stage = 'closed';
    this.#socket?.destroy();
  }

  #lost(error: Error): void {
    if (this.#stage === 'closed') return;
    if (this.#stage === 'joined') this.#tally.trouble(error.message);
    this.#stage = 'closed';
    this.#failed(error);
  }

  #read(buffer: Buffer, length: number, roomName: string): void {
    this.#tally.bytes += length;
    this.#tally.chunkUs = nowUs();
    const rest = this.#rest;
    const bytes = rest === null ? buffer : Buffer.concat([rest, buffer.subarray(0, length)]);
    const end = rest === null ? length : bytes.length;
    this.#rest = null;
    const from = this.#stage === 'upgrading' ? this.#upgrade(bytes, end, roomName) : 0;
    const at = this.#stage === 'upgrading' ? 0 : this.#frames(bytes, from, end);
    if (at < end) this.#rest = Buffer.from(bytes.subarray(at, end));
  }

  /** Reads the answer to the upgrade. Returns where the first frame begins. */
  #upgrade(bytes: Buffer, end: number, roomName: string): number {
    const headEnd = bytes.subarray(0, end).indexOf(HEAD_END);
    if (headEnd < 0) return 0;
    const status = bytes.toString('latin1', 0, bytes.indexOf('\r\n'));
    if (!status.includes(' 101 ')) {
      this.#lost(new Error(`an upgrade was refused: ${status}`));
      return end;
    }
    this.#stage = 'joining';
    const join = this.#dialect.join(roomName);
    if (join !== null) this.write(maskedFrame(join.opcode, join.body).bytes);
    return headEnd + HEAD_END.length;
  }

  /** Walks whole frames by their headers. Returns where the first one begins that is not complete. */
  #frames(bytes: Buffer, at: number, end: number): number {
    for (;;) {
      const bodyAt = frameBodyAt(bytes, at, end);
      if (bodyAt < 0) return at;
      const bodyEnd = bodyAt + frameBodyLength(bytes, at);
      if (bodyEnd > end) return at;
      const opcode = bytes[at]! & 0x0f;
      if (this.#stage === 'joined' && (opcode === OPCODE.binary || opcode === OPCODE.text)) {
        this.#tally.wsMessages++;
        this.#dialect.receive(this, bytes, bodyAt, bodyEnd, this.#tally);
      } else this.#rare(opcode, bytes.subarray(bodyAt, bodyEnd));
      at = bodyEnd;
    }
  }

  #rare(opcode: number, body: Buffer): void {
    if (opcode === OPCODE.ping) this.write(maskedFrame(OPCODE.pong, body).bytes);
    else if (opcode === OPCODE.close) {
      this.#lost(
        new Error(
          `the server closed a connection with code ${body.length >= 2 ? body.readUInt16BE() : 1005}`,
        ),
      );
    } else if (opcode === 0) this.#lost(new Error('the server sent a message in fragments'));
    else if (this.#stage === 'joining' && this.#isJoined(body)) {
      this.#stage = 'joined';
      this.#joined();
    }
  }

  #isJoined(body: Buffer): boolean {
    try {
      return this.#dialect.isJoined(body);
    } catch (error) {
      this.#lost(error as Error);
      return false;
    }
  }
}

function ignore(): void {
  // Replaced when the connection is opened.
}
