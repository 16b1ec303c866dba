/** The last frames both ways, for bug reports. Tokens are left out. */
import type { Chunk, ClientCodec } from './codec.ts';
import type { Environment } from './environment.ts';

export interface InspectedFrame {
  readonly direction: 'sent' | 'received';
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
  readonly frame: readonly unknown[];
}

export type FrameLog = (frame: InspectedFrame) => void;

export class Inspector {
  readonly #environment: Environment;
  readonly #codec: ClientCodec;
  readonly #limit: number;
  readonly #log: FrameLog | null;
  /** Those of publishes are unpacked when somebody looks. */
  #frames: (() => InspectedFrame)[] = [];

  /** `limit`: of frames that are kept. `log`: told about each frame as it passes. */
  constructor(environment: Environment, codec: ClientCodec, limit: number, log: FrameLog | null) {
    this.#environment = environment;
    this.#codec = codec;
    this.#limit = limit;
    this.#log = log;
  }

  add(direction: InspectedFrame['direction'], frame: readonly unknown[]): void {
    const shown = frame[0] === 'auth' ? ['auth', frame[1], '(token)'] : frame;
    this.#add(direction, () => shown);
  }

  publish(id: number, room: string, data: Chunk, options: object): void {
    this.#add('sent', () => ['publish', id, room, this.#codec.unpack(data), options]);
  }

  /** Oldest first. */
  get frames(): InspectedFrame[] {
    return this.#frames.slice(-this.#limit).map((look) => look());
  }

  #add(direction: InspectedFrame['direction'], frame: () => readonly unknown[]): void {
    const atMs = this.#environment.scheduler.wallMs();
    const look = () => ({ direction, atMs, frame: frame() });
    this.#log?.(look());
    if (this.#limit === 0) return;
    this.#frames.push(look);
    if (this.#frames.length >= 2 * this.#limit) this.#frames = this.#frames.slice(-this.#limit);
  }
}

/** What the `debug` option asks for. `localStorage.roomcastDebug = '1'` in a page's console does so without a change of code. */
export function frameLog(debug: boolean | FrameLog | undefined): FrameLog | null {
  if (typeof debug === 'function') return debug;
  if (!(debug ?? isDebugStored())) return null;
  return ({ direction, frame }) => console.debug(direction === 'sent' ? '→' : '←', frame);
}

function isDebugStored(): boolean {
  try {
    return Boolean(globalThis.localStorage?.getItem('roomcastDebug'));
  } catch {
    // Pages may be forbidden to look.
    return false;
  }
}
