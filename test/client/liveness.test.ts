import { describe, expect, it } from 'vitest';
import { Pulse } from '../../src/client/pulse.ts';
import { World } from './world.ts';

const HELLO = { silentAfterMs: 30_000 };

describe('a link that is silent', () => {
  it('is asked after the time that hello names, and is over when no answer comes', async () => {
    const world = new World();
    const client = await world.connected({}, HELLO);
    await world.pass(29_900);
    expect(world.socket.commands('ping')).toEqual([]);
    await world.pass(200);
    expect(world.socket.commands('ping')).toHaveLength(1);
    await world.pass(4800);
    expect(client.status.state).toBe('connected');
    await world.pass(300);
    expect(client.status).toMatchObject({ state: 'waiting', reason: 'the node did not answer a ping' });
    expect(world.socket.isClosed).toBe(true);
    await world.nextSocket();
  });

  it('is asked again and again while it answers', async () => {
    const world = new World();
    const client = await world.connected({}, HELLO);
    for (let i = 1; i <= 5; i++) {
      await world.pass(30_100);
      expect(world.socket.commands('ping')).toHaveLength(i);
      world.socket.answer('ping', {});
    }
    expect(client.status.state).toBe('connected');
  });

  it('is not asked while anything comes', async () => {
    const world = new World();
    await world.connected({}, HELLO);
    for (let i = 0; i < 10; i++) {
      await world.pass(20_000);
      world.socket.receive(['message', 'other', 1, 1, null, i]);
    }
    expect(world.socket.commands('ping')).toEqual([]);
  });

  it('is asked also of nodes that do not say when', async () => {
    const world = new World();
    await world.connected({}, { silentAfterMs: undefined });
    await world.pass(30_100);
    expect(world.socket.commands('ping')).toHaveLength(1);
  });
});

describe('a link in doubt', () => {
  it('is asked at once when the page is shown again, or online again, and only once at a time', async () => {
    const world = new World();
    const client = await world.connected({}, HELLO);
    world.page.tell('back');
    world.page.tell('back');
    await world.settle();
    expect(world.socket.commands('ping')).toHaveLength(1);
    world.socket.answer('ping', {});
    await world.pass(10_000);
    expect(client.status.state).toBe('connected');
    world.page.tell('back');
    await world.pass(5100);
    expect(client.status.state).toBe('waiting');
  });

  it('is asked when the browser says that the network is gone', async () => {
    const world = new World();
    const client = await world.connected({}, HELLO);
    world.page.tell('offline');
    await world.pass(5100);
    expect(client.status.state).toBe('waiting');
  });

  it('is asked when the machine slept, although nothing seems to have passed', async () => {
    const world = new World();
    await world.connected({}, HELLO);
    await world.pass(20_000);
    world.socket.receive(['message', 'other', 1, 1, null, 'shortly before']);
    world.scheduler.sleep(3_600_000);
    await world.pass(10_100);
    expect(world.socket.commands('ping')).toHaveLength(1);
  });

  it('gets more time while it delivers what it had before, but must answer in the end', async () => {
    const world = new World();
    const client = await world.connected({}, HELLO);
    world.page.tell('back');
    await world.settle();
    for (let i = 0; i < 3; i++) {
      await world.pass(4000);
      world.socket.receive(['message', 'other', 1, 1, null, i]);
    }
    expect(client.status.state).toBe('connected');
    await world.pass(5100);
    expect(client.status.state).toBe('waiting');
  });
});

describe('a pulse', () => {
  it('waits whole milliseconds, so that a clock that counts in parts of them moves on', () => {
    const nowMs = [0, 29_999.999_999_999_996];
    const waits: number[] = [];
    let fire: () => void = () => undefined;
    const scheduler = {
      nowMs: () => nowMs.shift() ?? 0,
      wallMs: () => 0,
      random: () => 0,
      atEndOfTurn: () => undefined,
      after: (ms: number, work: () => void) => {
        waits.push(ms);
        fire = work;
        return { cancel: () => undefined };
      },
    };
    const environment = { ...new World().environment, scheduler };
    const ask = () => undefined;
    new Pulse({ environment, silentAfterMs: 30_000, answerWithinMs: 5000, ask, dead: ask });
    fire();
    expect(waits).toEqual([30_000, 1]);
  });
});
