/**
 * A client that does what PROTOCOL.md asks of one, and writes down what it is given: it keeps its place in each room, comes
 * back to another node when its connection ends, joins from where it stood, and publishes again under the same key what was
 * not acknowledged.
 */
import WebSocket from 'ws';
import { decodeServerFrames, encodeCommand } from '../../src/protocol/client-codec.ts';
import type {
  CommandFrame,
  JoinOptions,
  JoinResult,
  Position,
  PublishResult,
  ServerFrame,
} from '../../src/protocol/frames.ts';
import { type Encoding, SUBPROTOCOL } from '../../src/protocol/subprotocol.ts';
import { backoffMs } from '../../src/util/backoff.ts';
import { MemberLog } from './member-log.ts';

export interface ReturningOptions {
  readonly name: string;
  /** WebSocket URLs of the nodes; it goes to the next one each time. */
  readonly urls: readonly string[];
  /** Which of the URLs it begins with. Default 0. */
  readonly first?: number;
  /** Default msgpack. */
  readonly encoding?: Encoding;
  /** From 0 up to 1. Default `Math.random`. */
  readonly random?: () => number;
  /** So many of the newest messages are asked for by each join. Default: `last` is left out. */
  readonly last?: number;
  /**
   * The token of a user whose joins resume where the user left off: some messages are acknowledged, and what comes again is dropped.
   * Default: anonymous, and joins have the position.
   */
  readonly resumesWith?: string;
}

/** A message that has its offset and is stored. */
export interface Acknowledged {
  readonly room: string;
  readonly payload: number;
  readonly epoch: string;
  readonly offset: number;
  /** When it was first sent and when it was acknowledged, on the clock of `performance.now`. */
  readonly sentAtMs: number;
  readonly ackedAtMs: number;
}

interface Waiting<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

interface Membership extends Waiting<void> {
  readonly log: MemberLog;
  /** Its join was answered on this connection. What comes before is of a membership that was ended. */
  isIn: boolean;
}

interface Publication extends Waiting<Acknowledged> {
  readonly room: string;
  readonly data: unknown;
  readonly key: string;
  readonly sentAtMs: number;
}

type Answer = (frame: ServerFrame & readonly ['ok' | 'error', ...unknown[]]) => void;

const ACK_EVERY = 10;
const RECONNECT = { baseMs: 50, capMs: 1_000 };
const RETRY = { baseMs: 100, capMs: 400 };
/** Frames of one turn are joined up to this; nodes refuse WebSocket messages of more than 64 KiB. */
const JOINED_BYTES = 48 * 1024;
const HANDSHAKE_TIMEOUT_MS = 5_000;
/** Errors that waiting may cure. */
const PASSING = new Set(['unavailable', 'timeout', 'rate_limited', 'internal']);

export class ReturningClient {
  readonly name: string;
  /** One for each room it has ever joined. */
  readonly logs = new Map<string, MemberLog>();
  /** Connections that were made, and how they ended, by close code. */
  connections = 0;
  readonly closes = new Map<number, number>();
  /** How its publishes were answered, by `ok` or error code, with the longest time that took in ms. */
  readonly answers = new Map<string, { count: number; slowestMs: number }>();
  readonly #options: ReturningOptions;
  readonly #memberships = new Map<string, Membership>();
  readonly #publications = new Set<Publication>();
  readonly #replies = new Map<number, Answer>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #socket: WebSocket | null = null;
  #outgoing: (Uint8Array | string)[] = [];
  #next: number;
  #attempt = 0;
  #lastId = 0;
  #connection = '';
  #lastKey = 0;
  #reconnectAfterMs: number | null = null;
  #isEnding = false;
  #stopped: number | null = null;

  constructor(options: ReturningOptions) {
    this.#options = options;
    this.name = options.name;
    this.#next = options.first ?? 0;
    this.#connect();
  }

  /** The close code by which a node told it to stay away, or null. */
  get stoppedBy(): number | null {
    return this.#stopped;
  }

  /** Id of its present connection, or of the last one. */
  get connection(): string {
    return this.#connection;
  }

  /** Whether its join of a room was answered on its present connection. */
  isIn(room: string): boolean {
    return this.isConnected && this.#memberships.get(room)?.isIn === true;
  }

  get isConnected(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** The socket of the present connection, to be paused and the like. */
  get socket(): WebSocket {
    if (this.#socket === null) throw new Error(`${this.name} is not connected`);
    return this.#socket;
  }

  log(room: string): MemberLog {
    const known = this.logs.get(room);
    if (known) return known;
    const log = new MemberLog(this.name, room);
    this.logs.set(room, log);
    return log;
  }

  /** Resolves when it is a member for the first time. It stays one until `leave`. */
  join(room: string): Promise<void> {
    const membership = { ...waiting<void>(), log: this.log(room), isIn: false };
    this.#memberships.set(room, membership);
    this.#sendJoin(room, membership);
    return membership.promise;
  }

  /** From now on it is no member, whatever the node says. */
  leave(room: string): void {
    const membership = this.#memberships.get(room);
    if (!membership) return;
    this.#memberships.delete(room);
    membership.resolve();
    membership.log.event({ kind: 'left' });
    this.#request(['leave', 0, room], () => undefined);
  }

  /** Resolves when it is acknowledged, however often it has to be sent for that. `data` is its number, or a list that begins with it. */
  publish(room: string, data: unknown): Promise<Acknowledged> {
    const key = `${this.name}:${++this.#lastKey}`;
    const publication = { ...waiting<Acknowledged>(), room, data, key, sentAtMs: performance.now() };
    this.#publications.add(publication);
    this.#sendPublish(publication, 0);
    return publication.promise;
  }

  /** Drops the connection without a word, as a train in a tunnel does. */
  drop(): void {
    this.#socket?.terminate();
  }

  /** Ends it all. What is not acknowledged is given up. */
  async close(): Promise<void> {
    this.#isEnding = true;
    for (const timer of this.#timers) clearTimeout(timer);
    const socket = this.#socket;
    if (socket === null) return;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    if (socket.readyState === WebSocket.CLOSED) return;
    socket.terminate();
    await closed;
  }

  // ---- the connection ------------------------------------------------------------------------------------

  #connect(): void {
    const { urls, encoding = 'msgpack' } = this.#options;
    const url = urls[this.#next++ % urls.length]!;
    const { resumesWith } = this.#options;
    const headers = resumesWith === undefined ? {} : { authorization: `Bearer ${resumesWith}` };
    const socket = new WebSocket(url, SUBPROTOCOL[encoding], {
      headers,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    this.#reconnectAfterMs = null;
    socket.on('open', () => this.#opened());
    socket.on('message', (message, isBinary) => {
      const text = isBinary ? (message as Buffer) : message.toString();
      for (const frame of decodeServerFrames(text)) this.#receive(frame);
    });
    // `close` follows, and is what counts.
    socket.on('error', () => undefined);
    socket.once('close', (code) => this.#closed(code));
  }

  #opened(): void {
    this.connections++;
    for (const [room, membership] of this.#memberships) this.#sendJoin(room, membership);
    for (const publication of this.#publications) this.#sendPublish(publication, 0);
  }

  #closed(code: number): void {
    const wasOpen = this.#attempt === 0;
    this.closes.set(code, (this.closes.get(code) ?? 0) + 1);
    this.#replies.clear();
    this.#outgoing = [];
    for (const { log } of this.#memberships.values()) log.event({ kind: 'closed', code });
    if (this.#isEnding) return;
    if (!mayReturn(code)) {
      this.#stopped = code;
      const error = new Error(`${this.name} was told to stay away with ${code}`);
      for (const publication of this.#publications) publication.reject(error);
      return;
    }
    const { random = Math.random } = this.#options;
    const delayMs = this.#reconnectAfterMs ?? backoffMs(this.#attempt++, { ...RECONNECT, random });
    this.#after(wasOpen ? delayMs : Math.max(delayMs, RECONNECT.baseMs), () => this.#connect());
  }

  #after(delayMs: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, delayMs);
    this.#timers.add(timer);
  }

  #retryAfter(attempt: number): number {
    const { random = Math.random } = this.#options;
    return backoffMs(attempt, { ...RETRY, random });
  }

  /** What is asked for in one turn leaves as one WebSocket message. */
  #request(frame: CommandFrame, answer: Answer): void {
    if (!this.isConnected) return;
    const id = ++this.#lastId;
    this.#replies.set(id, answer);
    const [type, , ...fields] = frame;
    const { encoding = 'msgpack' } = this.#options;
    this.#outgoing.push(encodeCommand([type, id, ...fields] as unknown as CommandFrame, encoding));
    if (this.#outgoing.length === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const outgoing = this.#outgoing;
    this.#outgoing = [];
    if (!this.isConnected) return;
    for (let from = 0; from < outgoing.length; ) {
      let to = from;
      let bytes = 0;
      do bytes += outgoing[to++]!.length;
      while (to < outgoing.length && bytes + outgoing[to]!.length <= JOINED_BYTES);
      const frames = outgoing.slice(from, to);
      this.socket.send(
        typeof frames[0] === 'string' ? frames.join('\n') : Buffer.concat(frames as Uint8Array[]),
      );
      from = to;
    }
  }

  // ---- commands ------------------------------------------------------------------------------------------

  #sendJoin(room: string, membership: Membership, attempt = 0): void {
    const { log } = membership;
    const since = log.position;
    membership.isIn = false;
    this.#request(['join', 0, room, this.#joinOptions(since)], (frame) => {
      if (this.#memberships.get(room) !== membership) return;
      if (frame[0] === 'ok') {
        const { epoch, offset, recovered, from } = frame[2] as JoinResult;
        log.event({ kind: 'joined', epoch, offset, since, recovered, from });
        membership.isIn = true;
        membership.resolve();
      } else if (PASSING.has(String(frame[2]))) {
        const socket = this.#socket;
        const again = () => {
          if (this.#socket === socket && this.#memberships.get(room) === membership)
            this.#sendJoin(room, membership, attempt + 1);
        };
        this.#after(this.#retryAfter(attempt), again);
      } else membership.reject(new Error(`join of ${room}: ${String(frame[2])}: ${String(frame[3])}`));
    });
  }

  #joinOptions(since: Position | null): JoinOptions {
    const { last, resumesWith } = this.#options;
    const newest = last === undefined ? {} : { last };
    if (resumesWith !== undefined) return { ...newest, resume: true };
    return since === null ? newest : { ...newest, since };
  }

  #ack(room: string, epoch: string, offset: number): void {
    this.#request(['ack', 0, room, [epoch, offset]], () => undefined);
  }

  /** A message for a member: it is new unless it came before, to one who resumes. */
  #message(room: string, offset: number, data: unknown): void {
    const log = this.#logOf(room);
    if (log === undefined) return;
    if (this.#options.resumesWith !== undefined) {
      if (log.position !== null && offset <= log.position[1]) return;
      if (offset % ACK_EVERY === 0) this.#ack(room, log.position?.[0] ?? '', offset);
    }
    log.message(offset, payloadOf(data));
  }

  #sendPublish(publication: Publication, attempt: number): void {
    const { room, data, key } = publication;
    const askedAtMs = performance.now();
    this.#request(['publish', 0, room, data, { key }], (frame) => {
      const nowMs = performance.now();
      this.#answered(frame[0] === 'ok' ? 'ok' : String(frame[2]), nowMs - askedAtMs);
      if (frame[0] === 'ok') {
        const { epoch, offset } = frame[2] as PublishResult;
        this.#publications.delete(publication);
        const { sentAtMs } = publication;
        publication.resolve({ room, payload: payloadOf(data), epoch, offset, sentAtMs, ackedAtMs: nowMs });
      } else if (PASSING.has(String(frame[2]))) {
        const socket = this.#socket;
        const again = () => {
          if (this.#socket === socket && this.isConnected) this.#sendPublish(publication, attempt + 1);
        };
        this.#after(this.#retryAfter(attempt), again);
      } else {
        this.#publications.delete(publication);
        publication.reject(new Error(`publish in ${room}: ${String(frame[2])}: ${String(frame[3])}`));
      }
    });
  }

  #answered(outcome: string, tookMs: number): void {
    const answers = this.answers.get(outcome) ?? { count: 0, slowestMs: 0 };
    answers.count++;
    answers.slowestMs = Math.max(answers.slowestMs, tookMs);
    this.answers.set(outcome, answers);
  }

  #logOf(room: string): MemberLog | undefined {
    const membership = this.#memberships.get(room);
    return membership?.isIn ? membership.log : undefined;
  }

  #receive(frame: ServerFrame): void {
    switch (frame[0]) {
      case 'hello':
        this.#attempt = 0;
        this.#connection = frame[1].connection;
        return;
      case 'bye':
        this.#reconnectAfterMs = frame[2].reconnectAfterMs;
        return;
      case 'ok':
      case 'error': {
        const answer = this.#replies.get(frame[1]);
        this.#replies.delete(frame[1]);
        return answer?.(frame);
      }
      case 'message':
        return this.#message(frame[1], frame[2], frame[5]);
      case 'gap':
        return this.#logOf(frame[1])?.event({ kind: 'gap', from: frame[2], to: frame[3] });
      case 'reset':
        return this.#logOf(frame[1])?.event({ kind: 'reset', epoch: frame[2], offset: frame[3] });
    }
  }
}

/** The ranges of PROTOCOL.md. */
function mayReturn(code: number): boolean {
  return (code >= 4000 && code <= 4499) || code === 1001 || code === 1006 || code === 1012;
}

function payloadOf(data: unknown): number {
  return Number(Array.isArray(data) ? data[0] : data);
}

function waiting<T>(): Waiting<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((whenDone, whenFailed) => {
    resolve = whenDone;
    reject = whenFailed;
  });
  return { promise, resolve, reject };
}
