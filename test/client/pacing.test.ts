/** Publishes keep to what the node said about its limits, and to their order where it refuses one all the same. */
import { describe, expect, it } from 'vitest';
import { RoomcastClient } from '../../src/client/json.ts';
import { Pace } from '../../src/client/pace.ts';
import type { HelloLimits } from '../../src/protocol/frames.ts';
import { startTestBroker } from '../../src/testing/index.ts';
import { HELLO_FACTS } from '../support/hello-facts.ts';
import { World } from './world.ts';

const limits = (some: Partial<HelloLimits>) => ({ limits: { ...HELLO_FACTS.limits, ...some } });
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

describe('the pace of a connection', () => {
  const pace = (some: Partial<HelloLimits>, maxPayload = 1000) =>
    new Pace({ limits: { ...limits(some).limits, ...some }, maxPayload });

  it('lets most of a burst through, then as many as the rate allows', () => {
    const of = pace({ commandsPerSecond: 10, commandBurst: 20, bytesPerSecond: 0 });
    let sent = 0;
    for (; of.waitMs(1, 5000) <= 0; sent++) of.sent(1, 5000);
    expect(sent).toBe(16);
    expect(of.waitMs(1, 5000)).toBeCloseTo(100);
    expect(of.waitMs(1, 5100)).toBeCloseTo(0);
    expect(of.waitMs(1, 60_000)).toBeLessThan(0);
  });

  it('counts bytes, and lets the largest message pass after a pause', () => {
    const of = pace({ commandsPerSecond: 0, commandBurst: 0, bytesPerSecond: 1000 });
    expect(of.waitMs(1000, 5000)).toBeLessThanOrEqual(0);
    of.sent(1000, 5000);
    expect(of.waitMs(1000, 5000)).toBeCloseTo(1000);
    expect(of.waitMs(100, 5000)).toBeCloseTo(300);
    expect(of.waitMs(1000, 6000)).toBeCloseTo(0);
  });

  it('waits for nothing where the node says no limits', () => {
    const of = new Pace({ maxPayload: 1000 });
    for (let i = 0; i < 10_000; i++) of.sent(1_000_000, 5000);
    expect(of.waitMs(1000, 5000)).toBeLessThanOrEqual(0);
  });
});

describe('publishes', () => {
  it('that waited for a connection go out as fast as the node allows, in order', async () => {
    const world = new World();
    const client = world.client();
    for (const n of numbers(40)) void client.publish('r', n);
    await world.settle();
    world.socket.accept(limits({ commandsPerSecond: 10, commandBurst: 20 }));
    await world.settle();
    expect(world.socket.commands('publish')).toHaveLength(16);
    await world.pass(1000);
    expect(world.socket.commands('publish')).toHaveLength(26);
    await world.pass(3000);
    expect(world.socket.commands('publish').map((frame) => frame[3])).toEqual(numbers(40));
  });

  it('go out one at a time after a refusal, then twice as many with each that is stored', async () => {
    const world = new World();
    const client = await world.connected({}, limits({ commandsPerSecond: 0, bytesPerSecond: 0 }));
    for (const n of numbers(10)) void client.publish('r', n);
    await world.settle();
    const first = world.socket.commands('publish');
    for (const [, id] of first) world.socket.receive(['error', id, 'rate_limited', 'no']);
    const answered = new Set(first.map(([, id]) => id));
    const atOnce: number[] = [];
    while (client.pending > 0) {
      await world.pass(10_000);
      const open = world.socket.commands('publish').filter(([, id]) => !answered.has(id));
      atOnce.push(open.length);
      const [, id] = open[0]!;
      answered.add(id);
      world.socket.receive(['ok', id, { epoch: 'e', offset: 1 }]);
    }
    expect(atOnce.slice(0, 3)).toEqual([1, 2, 4]);
    expect(world.socket.commands('publish').map((frame) => frame[3])).toEqual([
      ...numbers(10),
      ...numbers(10),
    ]);
  });

  it('of a burst far above the limits are never refused by a real node', async () => {
    const broker = await startTestBroker({
      time: 'manual',
      limits: { commandsPerSecond: 20, commandBurst: 40, bytesPerSecond: 65_536 },
    });
    const options = { WebSocket: broker.WebSocket, scheduler: broker.clock };
    const client = new RoomcastClient(broker.url, { ...options, inspectFrames: 2000 });
    const stored: Promise<unknown>[] = numbers(300).map((n) => client.publish(`r${n % 3}`, n));
    stored.push(...numbers(8).map(() => client.publish('large', 'x'.repeat(40_000))));
    await broker.clock.advance(60_000);
    await Promise.all(stored);
    expect(client.inspect().filter(({ frame }) => frame[0] === 'error')).toEqual([]);
    for (const room of [0, 1, 2]) {
      const { messages } = await broker.history(`r${room}`);
      expect(messages.map((message) => message[5])).toEqual(numbers(300).filter((n) => n % 3 === room));
    }
    client.close();
    await broker.stop();
  });
});
