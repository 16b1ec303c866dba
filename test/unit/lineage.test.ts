import { describe, expect, it } from 'vitest';
import { isReplica, lineageOf } from '../../src/backplane/redis/link/lineage.ts';

const FIRST = 'a'.repeat(40);
const SECOND = 'b'.repeat(40);

function info(role: string, replid: string, before: string, since: number): string {
  const fields = { role, master_replid: replid, master_replid2: before, second_repl_offset: since };
  const lines = Object.entries(fields).map(([name, value]) => `${name}:${value}\r\n`);
  return `# Replication\r\n${lines.join('')}`;
}

describe('the lineage of a Redis', () => {
  it('is empty for a primary that was never a replica', () => {
    expect(lineageOf(info('master', FIRST, '0'.repeat(40), -1))).toBe('');
  });

  it('is eight characters of its own for a replica that was promoted', () => {
    expect(lineageOf(info('master', SECOND, FIRST, 4711))).toBe('bbbbbbbb');
  });

  it('is empty where a server does not tell', () => {
    expect(lineageOf('')).toBe('');
  });

  it('is not asked of a replica, which is known as such', () => {
    expect(isReplica(info('slave', FIRST, '0'.repeat(40), -1))).toBe(true);
    expect(isReplica(info('master', SECOND, FIRST, 4711))).toBe(false);
  });
});
