import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { aclLine, describeObstacles, neededRights } from '../../src/backplane/redis/start/rights.ts';

const SCRIPTS = new URL('../../src/backplane/redis/scripts/', import.meta.url);
/** Rights of one subcommand only. */
const SUBCOMMANDS: Readonly<Record<string, string>> = {
  memory: 'memory|usage',
  pubsub: 'pubsub|numsub',
};
/** What nodes send to keys and channels without a script. */
const SENT_TO_KEYS = ['hset', 'hdel', 'hscan', 'hlen', 'hgetall', 'publish', 'pubsub'];

function source(name: string): string {
  return readFileSync(new URL(name, SCRIPTS), 'utf8');
}

/** Commands of a script, in small letters. */
function called(name: string, pattern: RegExp): string[] {
  return [...source(name).matchAll(pattern)].map(([, command]) => command!.toLowerCase());
}

const tried = [...new Set(called('check.lua', /\{ '([A-Z]+)'/g))].sort();

describe('the rights that a node needs', () => {
  it('are those of every command in every script, all of which check.lua tries', () => {
    const names = readdirSync(SCRIPTS).filter((name) => name !== 'check.lua');
    const used = names.flatMap((name) => called(name, /\bp?call\('([A-Z]+)'/g));
    expect([...new Set([...used, ...SENT_TO_KEYS])].sort()).toEqual(tried);
  });

  it('are those that check.lua tries, and what it takes to run it and to listen', () => {
    const commands = neededRights(new Keys('rc', 1), 0).filter((right) => right.startsWith('+'));
    const others = ['info', 'ping', 'script|load', 'evalsha', 'subscribe', 'unsubscribe'];
    const rights = tried.map((command) => SUBCOMMANDS[command] ?? command);
    expect(commands).toEqual([...rights, ...others].sort().map((command) => `+${command}`));
    expect(neededRights(new Keys('rc', 1), 3)).toContain('+select');
  });

  it('are the line in the documentation', () => {
    const document = readFileSync(new URL('../../deploy/README.md', import.meta.url), 'utf8');
    for (const isCluster of [false, true]) {
      expect(document).toContain(
        `\n\`\`\`\n${aclLine('roomcast', new Keys('rc', 1), 0, isCluster)}\n\`\`\`\n`,
      );
    }
  });

  it('end at the prefix: not at one that begins with it', () => {
    expect(neededRights(new Keys('rc', 128), 2).slice(0, 2)).toEqual(['~rc:{*', '&rc:{*']);
    const keys = new Keys('rc', 128, 2);
    const all = [
      keys.meta('a'),
      keys.log('a'),
      keys.dedup('a', 'k'),
      keys.presence('a'),
      keys.presenceUsers('a'),
    ];
    all.push(keys.acks('a', 'e'), keys.leases(), keys.nodeRooms('n'), keys.probe('n'), keys.signals());
    for (const name of all) expect(name.startsWith('rc:{')).toBe(true);
  });
});

describe('what is refused', () => {
  it('is told in one sentence for rights, one for commands, one for each other thing', () => {
    const says = describeObstacles(
      [
        { kind: 'right', right: '+xadd' },
        { kind: 'right', right: '&rc:{*' },
        { kind: 'unknown', command: 'script|load' },
        { kind: 'writes', reply: 'OOM full' },
        { kind: 'other', command: 'set', reply: 'ERR odd' },
      ],
      null,
      'redis',
    );
    expect(says).toBe(
      'redis does not permit user "default" everything that a node needs (deploy/README.md lists it): ACL SETUSER default +xadd &rc:{*; ' +
        'redis does not know SCRIPT LOAD: undo the rename-command that hides it; ' +
        'redis refuses writes: OOM full; redis refuses SET: ERR odd',
    );
  });
});
