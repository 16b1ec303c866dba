/** The last frames both ways, for bug reports. Tokens are left out. */
import type { Chunk, ClientCodec } from './codec.ts';
import { guarded } from './emitter.ts';
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
  /** Payloads are unpacked when somebody looks. */
  readonly #frames: (() => InspectedFrame)[] = [];

  /** `limit`: of frames that are kept. `log`: told about each frame as it passes; MUST NOT throw. */
  constructor(environment: Environment, codec: ClientCodec, limit: number, log: FrameLog | null) {
    this.#environment = environment;
    this.#codec = codec;
    this.#limit = limit;
    this.#log = log;
  }

  /** A publish that is sent holds its payload packed. */
  add(direction: InspectedFrame['direction'], frame: readonly unknown[]): void {
    const atMs = this.#environment.scheduler.wallMs();
    const look = () => ({ direction, atMs, frame: this.#shown(frame) });
    this.#log?.(look());
    this.#frames.push(look);
    if (this.#frames.length > this.#limit) this.#frames.shift();
  }

  /** Oldest first. */
  get frames(): InspectedFrame[] {
    return this.#frames.map((look) => look());
  }

  #shown(frame: readonly unknown[]): readonly unknown[] {
    const [type, id, room, data, options] = frame;
    if (type === 'auth') return [type, id, '(token)'];
    if (type === 'publish') return [type, id, room, this.#codec.unpack(data as Chunk), options];
    return frame;
  }
}

/** What the `debug` option asks for. `localStorage.roomcastDebug = '1'` in a page's console does so without a change of code. */
export function frameLog(
  debug: boolean | FrameLog | undefined,
  onError: (error: unknown) => void,
): FrameLog | null {
  if (typeof debug === 'function') return guarded(debug, onError);
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
