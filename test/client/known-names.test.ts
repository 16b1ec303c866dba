/** Misspelt options and events: plain JavaScript has nobody else to find them. */
import { describe, expect, it } from 'vitest';
import { World } from './world.ts';

// biome-ignore lint/suspicious/noExplicitAny: as a page without types would call it.
type Anything = any;

describe('a name that does not exist', () => {
  it.each([
    ['onerror', 'onError'],
    ['gettoken', 'getToken'],
    ['tokn', 'token'],
    ['reconect', 'reconnect'],
    ['storge', 'storage'],
  ])('%s among the options of a client is an error that names %s first', (given, meant) => {
    expect(() => new World().client({ [given]: 1 } as Anything)).toThrow(
      new RegExp(`^unknown option "${given}": did you mean ${meant}[,?]`),
    );
  });

  it.each([
    ['queue', 'mesages', 'messages'],
    ['reconnect', 'capMS', 'capMs'],
  ])('in the option %s is an error too', (option, given, meant) => {
    expect(() => new World().client({ [option]: { [given]: 1 } })).toThrow(`did you mean ${meant}`);
  });

  it('is an error in a room, for an event, and in every call that takes settings', async () => {
    const client = await new World().connected();
    const make = (options: Anything) => client.room('r', options);
    expect(() => make({ lsat: 5 })).toThrow('unknown option "lsat": did you mean last,');
    const room: Anything = client.room('r');
    expect(() => room.on('mesage', () => undefined)).toThrow('unknown event "mesage": did you mean message,');
    expect(() => room.on('ended', () => undefined)).toThrow('unknown event "ended"');
    expect(() => room.on('toString', () => undefined)).toThrow('unknown event "toString"');
    expect(() => room.signal(1, { ehco: true })).toThrow('did you mean echo,');
    expect(() => room.messages({ bufer: 1 })).toThrow('did you mean buffer,');
    await expect(room.publish(1, { idempotencyKey: 'k' })).rejects.toThrow('unknown option "idempotencyKey"');
    await expect(room.history({ limt: 1 })).rejects.toThrow('did you mean limit,');
    await expect(room.listMembers({ afetr: 'x' })).rejects.toThrow('did you mean after,');
    await expect(room.ack(['e', 1], { signal: null })).rejects.toThrow('unknown option "signal"');
    expect(client.pending).toBe(0);
  });

  it('is no error where it is inherited, and options that are undefined count as left out', async () => {
    const world = new World();
    const options = Object.create({ inherited: 1 }) as object;
    const client = world.client({ ...options, queue: { messages: undefined } } as Anything);
    const stored = client.publish('r', 1);
    client.close();
    // Not refused by a queue without a limit.
    await expect(stored).rejects.toThrow('closed');
  });
});
