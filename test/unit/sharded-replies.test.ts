import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { type ShardedCommand, ShardedReplies } from '../../src/backplane/redis/subscribe/sharded-replies.ts';

/** The outcome of each command, and what was lost, in order. */
let log: string[];
let replies: ShardedReplies;

beforeEach(() => {
  log = [];
  replies = new ShardedReplies({
    lost: (channel) => log.push(`lost ${channel}`),
    confused: (reason) => log.push(reason),
  });
});

function ask(name: string, command: ShardedCommand, channels: readonly string[], slot = 1): void {
  void replies.expect(command, channels, slot).then(
    () => log.push(`${name} done`),
    (error: Error) => log.push(`${name} ${error.message}`),
  );
}

function confirmation(kind: 'ssubscribe' | 'sunsubscribe', channel: string): string {
  return `*3\r\n$${kind.length}\r\n${kind}\r\n$${channel.length}\r\n${channel}\r\n:12\r\n`;
}

const subscribed = (channel: string) => confirmation('ssubscribe', channel);
const unsubscribed = (channel: string) => confirmation('sunsubscribe', channel);

async function read(...texts: readonly string[]): Promise<void> {
  replies.read(Buffer.from(texts.join(''), 'latin1'));
  await new Promise(setImmediate);
}

describe('replies on a link of sharded channels', () => {
  it('settle the commands in their order, each when all of its channels are answered', async () => {
    ask('one', 'ssubscribe', ['a', 'b']);
    ask('two', 'ssubscribe', ['c'], 2);
    ask('three', 'sunsubscribe', ['a', 'b']);
    ask('four', 'ping', []);
    await read(subscribed('a'));
    expect(log).toEqual([]);
    await read(subscribed('b'), subscribed('c'), unsubscribed('a'));
    expect(log).toEqual(['one done', 'two done']);
    await read(unsubscribed('b'), '*2\r\n$4\r\npong\r\n$0\r\n\r\n');
    expect(log.slice(2)).toEqual(['three done', 'four done']);
  });

  it('reject the command that Redis refused, and no other', async () => {
    ask('one', 'ssubscribe', ['a']);
    ask('two', 'ssubscribe', ['b']);
    ask('three', 'ping', []);
    await read('-MOVED 1 127.0.0.1:7001\r\n', subscribed('b'), '+PONG\r\n');
    expect(log).toEqual(['one redis: MOVED 1 127.0.0.1:7001', 'two done', 'three done']);
  });

  it('tell which channels are lost, in the middle of others', async () => {
    ask('one', 'ssubscribe', ['a', 'b']);
    await read(subscribed('a'), unsubscribed('x\xc3\xa9'), subscribed('b'), unsubscribed('a'));
    expect(log).toEqual(['lost x\xc3\xa9', 'lost a', 'one done']);
  });

  it('that come unasked while the same is asked for do not shift those after them', async () => {
    ask('one', 'sunsubscribe', ['a', 'b']);
    ask('two', 'ssubscribe', ['c'], 2);
    // The slot was taken away, in whatever order. Then the command finds it gone.
    await read(unsubscribed('b'), unsubscribed('a'), unsubscribed('b'));
    expect(log).toEqual(['lost b', 'one done']);
    await read('-MOVED 1 127.0.0.1:7001\r\n', subscribed('c'));
    expect(log.slice(2)).toEqual(['two done']);
  });

  it('take an end that Redis refuses for an end, since the slot is gone', async () => {
    ask('one', 'sunsubscribe', ['a', 'b']);
    await read(unsubscribed('x'), '-MOVED 1 127.0.0.1:7001\r\n');
    expect(log).toEqual(['lost x', 'one done']);
  });

  it.each([
    ['a confirmation that nobody asked for', subscribed('a')],
    ['a pong that nobody asked for', '+PONG\r\n'],
    ['an error that nobody asked for', '-ERR no\r\n'],
    ['something else', ':1\r\n'],
  ])('say that the link is of no use on %s', async (_, reply) => {
    await read(reply);
    expect(log).toEqual([expect.stringContaining('unexpected reply on the subscribe link')]);
  });

  it('are not awaited when the link is lost', async () => {
    ask('one', 'ssubscribe', ['a']);
    ask('two', 'ping', []);
    replies.linkLost();
    await read();
    expect(log).toEqual([
      'one the redis subscribe link was lost before the reply',
      'two the redis subscribe link was lost before the reply',
    ]);
    ask('three', 'ssubscribe', ['a']);
    await read(subscribed('a'));
    expect(log.at(-1)).toBe('three done');
  });

  it('never shift, wherever slots are taken away between commands', async () => {
    const step = fc.record({
      command: fc.constantFrom<ShardedCommand>('ssubscribe', 'sunsubscribe', 'ping'),
      channel: fc.constantFrom('a', 'b', 'c', 'd'),
      takes: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const server = new ServerModel();
        const results: string[] = [];
        const client = new ShardedReplies({ lost: () => undefined, confused: (why) => results.push(why) });
        const expected: string[] = [];
        const asked: string[] = [];
        let stream = '';
        for (const [i, { command, channel, takes }] of steps.entries()) {
          const slot = channel < 'c' ? 1 : 2;
          const channels = command === 'ping' ? [] : [channel];
          client.expect(command, channels, command === 'ping' ? -1 : slot).then(
            () => results.push(`${i} done`),
            () => results.push(`${i} refused`),
          );
          if (takes) stream += server.take(slot);
          const { text, outcome } = server.run(command, channel, slot);
          stream += text;
          expected.push(`${i} ${command === 'sunsubscribe' ? 'done' : outcome}`);
          asked.push(command);
        }
        client.read(Buffer.from(stream, 'latin1'));
        await new Promise(setImmediate);
        // Which of two refused ones of a slot is told first may change; what a subscription became may not.
        const kind = (line: string) => asked[Number.parseInt(line, 10)] !== 'sunsubscribe';
        expect(results.filter(kind).sort()).toEqual(expected.filter(kind).sort());
      }),
    );
  });
});

/** A server with two slots, which it loses for good. */
class ServerModel {
  readonly #gone = new Set<number>();
  readonly #subscribed = new Set<string>();

  take(slot: number): string {
    this.#gone.add(slot);
    const taken = [...this.#subscribed].filter((channel) => (channel < 'c' ? 1 : 2) === slot).reverse();
    for (const channel of taken) this.#subscribed.delete(channel);
    return taken.map(unsubscribed).join('');
  }

  run(command: ShardedCommand, channel: string, slot: number): { text: string; outcome: string } {
    if (command === 'ping') return { text: '*2\r\n$4\r\npong\r\n$0\r\n\r\n', outcome: 'done' };
    if (this.#gone.has(slot)) return { text: `-MOVED ${slot} 127.0.0.1:7001\r\n`, outcome: 'refused' };
    if (command === 'sunsubscribe') {
      this.#subscribed.delete(channel);
      return { text: unsubscribed(channel), outcome: 'done' };
    }
    this.#subscribed.add(channel);
    return { text: subscribed(channel), outcome: 'done' };
  }
}
