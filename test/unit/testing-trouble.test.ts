/** `roomcast/testing` under all of its trouble at once: whoever returns has every message once, in order. */
import { afterEach, describe, expect, it } from 'vitest';
import { decodeServerFrames, encodeCommand } from '../../src/protocol/client-codec.ts';
import type { CommandFrame, Position } from '../../src/protocol/frames.ts';
import type { Encoding } from '../../src/protocol/subprotocol.ts';
import { SUBPROTOCOL } from '../../src/protocol/subprotocol.ts';
import {
  startTestBroker,
  type TestBroker,
  type TestDevice,
  type TestWebSocket,
} from '../../src/testing/index.ts';
import { Random } from '../support/random.ts';

const ROOM = 'orders';
const USERS = ['ann', 'bob', 'eve', 'joe'];
const STEPS = 150;
const PROBE_MS = 5_000;
let broker: TestBroker;

afterEach(() => broker?.stop());

/** Follows the room over every trouble, by the protocol: `since`, and a probe after silence. */
class Follower {
  readonly got: number[] = [];
  connections = 0;
  readonly device: TestDevice = broker.device();
  readonly #user: string;
  readonly #encoding: Encoding;
  #socket: TestWebSocket | null = null;
  #position: Position | null = null;
  #heardAtMs = 0;

  constructor(user: string, encoding: Encoding) {
    this.#user = user;
    this.#encoding = encoding;
    broker.clock.every(PROBE_MS, () => this.#probe());
  }

  async connect(): Promise<void> {
    const token = await broker.token({ user: this.#user, expiresInMs: 60_000 });
    const socket = new this.device.WebSocket(`${broker.url}?token=${token}`, SUBPROTOCOL[this.#encoding]);
    this.#socket = socket;
    this.connections++;
    this.#heardAtMs = broker.clock.nowMs();
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.#send(['join', 1, ROOM, this.#position ? { since: this.#position } : {}]);
    socket.onmessage = ({ data }: MessageEvent) => {
      if (socket === this.#socket) this.#receive(data);
    };
    socket.onclose = () => {
      if (socket === this.#socket) broker.clock.after(100, () => void this.connect());
    };
  }

  #receive(data: string | ArrayBuffer): void {
    this.#heardAtMs = broker.clock.nowMs();
    for (const frame of decodeServerFrames(data)) {
      if (frame[0] === 'gap' || frame[0] === 'reset') this.got.push(-1);
      if (frame[0] === 'ok' && frame[1] === 1) this.#position ??= [(frame[2] as { epoch: string }).epoch, 0];
      if (frame[0] !== 'message' || frame[2] <= this.#position![1]) continue;
      this.#position = [this.#position![0], frame[2]];
      this.got.push(frame[5] as number);
    }
  }

  #probe(): void {
    if (broker.clock.nowMs() - this.#heardAtMs < 2 * PROBE_MS) return this.#send(['ping', 2]);
    const dead = this.#socket!;
    this.#socket = null;
    dead.close();
    void this.connect();
  }

  #send(frame: CommandFrame): void {
    if (this.#socket?.readyState === 1) this.#socket.send(encodeCommand(frame, this.#encoding));
  }
}

type Trouble = (followers: readonly Follower[]) => unknown;

function troubles(chance: Random): Trouble[] {
  const user = () => chance.pick(USERS);
  return [
    () => broker.cut(user()),
    () => broker.cut(user(), { silent: true }),
    () => broker.cut(),
    () => broker.pause(user()),
    () => broker.resume(),
    () => broker.delay(chance.whole(0, 300)),
    () => broker.expireToken(user()),
    () => broker.restart(),
    (followers) => broker.goOffline(followers[0]!.device),
    () => broker.goOnline(),
    () => broker.disconnect(user()),
    () => broker.clock.advance(chance.whole(0, 30_000)),
  ];
}

describe('a test broker in trouble', () => {
  it.each([1, 2, 3])('loses, repeats and reorders nothing (seed %i)', async (seed) => {
    const chance = new Random(seed);
    broker = await startTestBroker({
      ...{ time: 'manual', random: chance.next },
      heartbeat: { intervalMs: 10_000 },
      websocket: { backpressureBytes: 2048, maxPayloadBytes: 1024 },
      history: { messages: 10_000, ageMs: 86_400_000 },
    });
    const followers = USERS.map((user, i) => new Follower(user, i % 2 === 0 ? 'msgpack' : 'json'));
    await Promise.all(followers.map((follower) => follower.connect()));
    await broker.settled();
    const events = troubles(chance);
    let published = 0;
    for (let step = 0; step < STEPS; step++) {
      for (let i = chance.whole(0, 30); i > 0; i--) await broker.publish(ROOM, ++published);
      await chance.pick(events)(followers);
      await broker.clock.advance(chance.whole(0, 500));
    }
    broker.goOnline();
    broker.resume();
    broker.delay(0);
    await broker.clock.advance(120_000);
    const all = Array.from({ length: published }, (_, i) => i + 1);
    for (const { got, connections } of followers) {
      expect(got).toEqual(all);
      expect(connections).toBeGreaterThan(STEPS / 10);
    }
  });
});
