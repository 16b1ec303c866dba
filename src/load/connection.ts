import { connect, isIP, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { nowUs } from './clock.ts';
import type { Dialect } from './dialect.ts';
import { frameBodyAt, frameBodyLength, maskedFrame, OPCODE, upgradeRequest } from './frames.ts';
import type { DialectMember, WireMessage } from './member.ts';
import type { Tally } from './tally.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
  /** wss. */
  readonly isSecure?: boolean;
}

export interface ConnectionPlan {
  /** Its one room, or null for a connection that only publishes. */
  readonly roomName: string | null;
  readonly room: number;
  /** Index of a publisher within the room whose messages it watches for, or a value of `WATCH`. */
  readonly watches: number;
}

/**
 * One buffer that all sockets of the process read into: a read and its callback are one step, and only the
 * start of an unfinished frame is kept. It saves an allocation per read.
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(512 * 1024);
/** From the connect to the end of the join. In a storm of thousands, a connection waits in line. */
const OPENING_MS = 30_000;
const NO_ANSWER = `a connection was not ready after ${OPENING_MS / 1000} s`;
const HEAD_END = Buffer.from('\r\n\r\n');

/** One member: a raw TCP socket that speaks just enough WebSocket. `ws` would cost several times what it measures. */
export class LoadConnection implements DialectMember {
  readonly roomName: string | null;
  readonly room: number;
  readonly watches: number;
  lastOffset = 0;
  readonly lastOf: number[] = [];
  session = '';
  lastId = '';
  missing: Set<number> | null = null;
  readonly #dialect: Dialect;
  readonly #tally: Tally;
  readonly #abandoned: Socket[] = [];
  #socket: Socket | null = null;
  #rest: Buffer | null = null;
  #stage: 'upgrading' | 'opening' | 'ready' | 'closed' = 'closed';
  #outcome: (error: Error | null) => void = ignore;

  constructor(plan: ConnectionPlan, dialect: Dialect, tally: Tally) {
    this.roomName = plan.roomName;
    this.room = plan.room;
    this.watches = plan.watches;
    this.#dialect = dialect;
    this.#tally = tally;
  }

  get isReady(): boolean {
    return this.#stage === 'ready';
  }

  /**
   * Connects, upgrades and joins. `chunkRead` is called after each handled chunk. May be called again after a
   * `cut`.
   */
  open(target: Target, chunkRead: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stage = 'upgrading';
      this.#rest = null;
      const callback = (length: number, buffer: Uint8Array): boolean => {
        if (this.#socket !== socket) return false;
        this.#read(buffer as Buffer, length);
        chunkRead();
        return true;
      };
      const socket = openSocket(target, { buffer: READ_BUFFER, callback });
      this.#socket = socket;
      const { path, headers } = this.#dialect.upgrade(this.roomName);
      const request = upgradeRequest(authority(target), path, headers);
      socket.once(target.isSecure ? 'secureConnect' : 'connect', () => socket.write(request));
      const timer = setTimeout(() => this.#ended(socket, new Error(NO_ANSWER)), OPENING_MS);
      this.#outcome = (error) => {
        clearTimeout(timer);
        this.#outcome = ignore;
        if (error === null) resolve();
        else reject(error);
      };
      socket.on('error', (error) => this.#ended(socket, error));
      socket.on('close', () => this.#ended(socket, new Error('the server closed a connection')));
    });
  }

  write(bytes: Uint8Array): void {
    this.#socket?.write(bytes);
  }

  /** Buffers writes until `uncork`, to send them together. */
  cork(): void {
    this.#socket?.cork();
  }

  uncork(): void {
    this.#socket?.uncork();
  }

  send({ opcode, body }: WireMessage): void {
    this.write(maskedFrame(opcode, body).bytes);
  }

  /**
   * Cuts the link without telling either end: the socket is kept and never read again, so that the server
   * sees neither a close nor an answer. `open` may follow.
   */
  cut(): void {
    if (this.#socket === null) return;
    this.#socket.pause();
    this.#abandoned.push(this.#socket);
    this.#socket = null;
    this.#stage = 'closed';
  }

  /** Drops the connection, and the sockets that were cut. */
  close(): void {
    this.#stage = 'closed';
    for (const socket of [...this.#abandoned, this.#socket]) socket?.destroy();
  }

  #ended(socket: Socket, error: Error): void {
    if (socket === this.#socket) this.#lost(error);
  }

  #lost(error: Error): void {
    if (this.#stage === 'closed') return;
    if (this.#stage === 'ready') this.#tally.trouble(error.message);
    this.#stage = 'closed';
    this.#socket?.destroy();
    this.#outcome(error);
  }

  #read(buffer: Buffer, length: number): void {
    this.#tally.bytes += length;
    this.#tally.chunkUs = nowUs();
    const rest = this.#rest;
    const bytes = rest === null ? buffer : Buffer.concat([rest, buffer.subarray(0, length)]);
    const end = rest === null ? length : bytes.length;
    this.#rest = null;
    const from = this.#stage === 'upgrading' ? this.#upgrade(bytes, end) : 0;
    const at = this.#stage === 'upgrading' ? 0 : this.#frames(bytes, from, end);
    if (at < end) this.#rest = Buffer.from(bytes.subarray(at, end));
  }

  /** Reads the answer to the upgrade. Returns where the first frame starts. */
  #upgrade(bytes: Buffer, end: number): number {
    const headEnd = bytes.subarray(0, end).indexOf(HEAD_END);
    if (headEnd < 0) return 0;
    const status = bytes.toString('latin1', 0, bytes.indexOf('\r\n'));
    if (!status.includes(' 101 ')) {
      const why = /"message":"([^"]*)"/.exec(bytes.toString('utf8', headEnd, end))?.[1];
      this.#lost(new Error(`an upgrade was refused: ${status}${why === undefined ? '' : ` (${why})`}`));
      return end;
    }
    this.#stage = 'opening';
    const message = this.#dialect.opening(this);
    if (message !== null) this.send(message);
    return headEnd + HEAD_END.length;
  }

  /** Walks whole frames by their headers. Returns where the first incomplete one starts. */
  #frames(bytes: Buffer, at: number, end: number): number {
    for (;;) {
      const bodyAt = frameBodyAt(bytes, at, end);
      if (bodyAt < 0) return at;
      const bodyEnd = bodyAt + frameBodyLength(bytes, at);
      if (bodyEnd > end) return at;
      const opcode = bytes[at]! & 0x0f;
      if (opcode !== OPCODE.binary && opcode !== OPCODE.text) this.#control(opcode, bytes, bodyAt, bodyEnd);
      else if (this.#stage === 'ready') {
        this.#tally.wsMessages++;
        this.#tally.messageUs = this.#tally.chunkUs;
        this.#receive(bytes, bodyAt, bodyEnd);
      } else if (this.#stage === 'opening') this.#opening(bytes, bodyAt, bodyEnd);
      at = bodyEnd;
    }
  }

  #receive(bytes: Buffer, at: number, end: number): void {
    try {
      this.#dialect.receive(this, bytes, at, end, this.#tally);
    } catch (error) {
      // Someone else publishes in the room, or the data is not the protocol: an error of this connection, not
      // of the process.
      this.#lost(error as Error);
    }
  }

  #opening(bytes: Buffer, at: number, end: number): void {
    try {
      if (!this.#dialect.opened(this, bytes, at, end, this.#tally)) return;
    } catch (error) {
      return this.#lost(error as Error);
    }
    this.#stage = 'ready';
    this.#outcome(null);
  }

  #control(opcode: number, bytes: Buffer, at: number, end: number): void {
    if (opcode === OPCODE.ping) this.send({ opcode: OPCODE.pong, body: bytes.subarray(at, end) });
    else if (opcode === OPCODE.close) {
      const code = end - at >= 2 ? bytes.readUInt16BE(at) : 1005;
      this.#lost(new Error(`the server closed a connection with code ${code}`));
    } else if (opcode === 0) this.#lost(new Error('the server sent a fragmented message'));
  }
}

/** As in the `Host` header. */
function authority({ host, port }: Target): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function openSocket({ host, port, isSecure }: Target, onread: OnReadOpts): Socket {
  if (!isSecure) return connect({ host, port, noDelay: true, onread });
  // `tls.connect` also takes the options of `net.connect`, which its types omit.
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const options = { host, port, noDelay: true, onread, ...servername };
  return connectTls(options);
}

function ignore(): void {
  // Replaced when the connection is opened.
}
