import { afterEach, describe, expect, it, vi } from 'vitest';
import type { InspectedFrame } from '../../src/client/inspector.ts';
import { World } from './world.ts';

describe('inspect', () => {
  it('shows the last frames both ways, oldest first, with their time', async () => {
    const world = new World();
    const client = await world.connected({ inspectFrames: 3 });
    client.room('r');
    await world.settle();
    world.socket.answer('join', { epoch: 'e', offset: 0, recovered: false });
    for (let i = 1; i <= 20; i++) world.socket.receive(['message', 'r', i, 1, null, i]);
    expect(client.inspect().map(({ direction, frame }) => [direction, frame[2]])).toEqual([
      ['received', 18],
      ['received', 19],
      ['received', 20],
    ]);
    expect(client.inspect()[0]?.atMs).toBe(world.scheduler.wallMs());
  });

  it('shows commands and publishes as they were sent', async () => {
    const world = new World();
    const client = await world.connected();
    client.room('r', { last: 1 });
    void client.publish('r', { text: 'hi' }, { key: 'k' });
    client.signal('r', 'typing');
    const sent = client.inspect().filter(({ direction }) => direction === 'sent');
    await world.settle();
    expect(
      client
        .inspect()
        .filter(({ direction }) => direction === 'sent')
        .map(({ frame }) => frame),
    ).toEqual(expect.arrayContaining(world.socket.sent as unknown[]));
    expect(sent.length).toBeLessThanOrEqual(world.socket.sent.length);
  });

  it('never shows a token', async () => {
    const world = new World();
    const frames: InspectedFrame[] = [];
    const client = world.client({ token: 'secret', debug: (frame) => frames.push(frame) });
    client.connect();
    await world.settle();
    world.socket.open();
    await world.settle();
    expect(JSON.stringify([client.inspect(), frames])).not.toContain('secret');
    expect(frames.map(({ frame }) => frame)).toEqual([['auth', 1, '(token)']]);
  });

  it('may be switched off', async () => {
    const world = new World();
    const client = await world.connected({ inspectFrames: 0 });
    expect(client.inspect()).toEqual([]);
  });
});

describe('debug', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  it('logs frames to the console, by the option or by what a page has stored', async () => {
    const log = vi.spyOn(console, 'debug').mockReturnValue();
    await new World().connected({ debug: true });
    expect(log).toHaveBeenLastCalledWith('←', expect.arrayContaining(['hello']));
    log.mockClear();
    await new World().connected();
    expect(log).not.toHaveBeenCalled();
    vi.stubGlobal('localStorage', { getItem: (key: string) => (key === 'roomcastDebug' ? '1' : null) });
    await new World().connected();
    expect(log).toHaveBeenCalledTimes(1);
    await new World().connected({ debug: false });
    expect(log).toHaveBeenCalledTimes(1);
  });

  it('does no harm in a page that may not look at what is stored', async () => {
    const denied = () => {
      throw new Error('denied');
    };
    vi.stubGlobal('localStorage', { getItem: denied });
    await new World().connected();
  });
});
