/** One TCP connection of an attacker, which reads exactly what the node sends. */
import { connect, type Socket } from 'node:net';

export interface Target {
  readonly host: string;
  readonly port: number;
}

/** The whole of 127.0.0.0/8 is this machine, so that one attacker has many addresses. */
const ADDRESSES = 200;

export function attackersAddress(number: number): string {
  return `127.0.7.${1 + (number % ADDRESSES)}`;
}

export class Wire {
  readonly socket: Socket;
  /** What has arrived and was not taken yet. */
  received: Buffer = Buffer.alloc(0);
  isClosed = false;
  #changed: (() => void) | null = null;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
      this.#changed?.();
    });
    socket.once('close', () => {
      this.isClosed = true;
      this.#changed?.();
    });
  }

  /** Rejects where nobody listens. */
  static open({ host, port }: Target, number: number): Promise<Wire> {
    return new Promise((resolve, reject) => {
      // Half open: the other side's end is no end of ours, so that every answer is read.
      const socket = connect({ host, port, localAddress: attackersAddress(number), allowHalfOpen: false });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new Wire(socket));
      });
    });
  }

  write(bytes: Buffer): void {
    if (!this.isClosed) this.socket.write(bytes);
  }

  /** Says that nothing more follows. The node closes. */
  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.resetAndDestroy();
  }

  take(bytes: number): Buffer {
    const taken = this.received.subarray(0, bytes);
    this.received = this.received.subarray(bytes);
    return taken;
  }

  /**
   * Resolves with true when more has arrived or the connection is closed; with false when `quietMs` went by without
   * either.
   */
  more(quietMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => done(false), quietMs);
      const done = (isMore: boolean) => {
        clearTimeout(timer);
        this.#changed = null;
        resolve(isMore);
      };
      this.#changed = () => done(true);
    });
  }
}
