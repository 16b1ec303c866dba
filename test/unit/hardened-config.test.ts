import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkAccess } from '../../src/cli/doctor/access.ts';
import { run } from '../../src/cli/program.ts';
import { loadConfig } from '../../src/config/load.ts';
import { SETTING_AT } from '../../src/config/settings.ts';
import { Authority, hasOpenssl } from '../support/authority.ts';
import { NO_PIPES } from '../support/pipes.ts';

const ROOT = join(import.meta.dirname, '../..');
const EXAMPLE = readFileSync(join(ROOT, 'deploy/roomcast.hardened.yaml'), 'utf8');
const SECURITY = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8');

describe.skipIf(!hasOpenssl)('the hardened example', () => {
  let folder: string;
  let authority: Authority;
  let file: string;
  const env = { ROOMCAST_REDIS_URL: 'rediss://roomcast:a-password@redis.internal:6379' };

  /** The example with its secrets where this machine has some. */
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'roomcast-hardened-'));
    authority = new Authority('an authority');
    const [node, client] = [authority.issue('node'), authority.issue('client')];
    const tokenKeys = join(folder, 'token-keys.pem');
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(tokenKeys, publicKey.export({ type: 'spki', format: 'pem' }));
    const places: Record<string, string> = {
      'tls.crt': node.certFile,
      'tls.key': node.keyFile,
      'token-keys.pem': tokenKeys,
      'redis-ca.crt': authority.caFile,
      'redis-client.crt': client.certFile,
      'redis-client.key': client.keyFile,
    };
    file = join(folder, 'roomcast.yaml');
    writeFileSync(
      file,
      EXAMPLE.replace(/\/run\/secrets\/([\w.-]+)(?=\s)/g, (path, name) => places[name] ?? path),
    );
  });

  afterAll(() => {
    rmSync(folder, { recursive: true });
    authority.dispose();
  });

  it('passes config check', async () => {
    let printed = '';
    const print = (text: string) => {
      printed += text;
    };
    const exitCode = await run(['config', 'check', '--config', file], {
      ...{ env, terminal: false, stderrTerminal: false, pipes: NO_PIPES },
      ...{ stdout: print, stderr: print, serve: async () => undefined },
    });
    expect({ exitCode, printed }).toEqual({ exitCode: 0, printed: 'configuration is valid\n' });
  });

  it('leaves the doctor nothing to say against who may do what', () => {
    const loaded = loadConfig({ file, env });
    if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
    expect(checkAccess(loaded.config).filter(({ level }) => level !== 'ok')).toEqual([]);
  });
});

describe('SECURITY.md', () => {
  it('names only settings that exist', () => {
    const section = SECURITY.slice(SECURITY.indexOf('## Hardened settings'));
    const rows = [...section.matchAll(/^\| (`[^|]+) \|/gm)].map(([, cell]) => cell!);
    expect(rows.length).toBeGreaterThan(8);
    for (const name of rows.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, path]) => path!))) {
      const exists =
        SETTING_AT.has(name) ||
        [...SETTING_AT.keys()].some((path) => path.startsWith(name.replace(/\*$/, '')));
      expect(exists, name).toBe(true);
    }
  });

  it('names only tests that exist, for each thing that is defended', () => {
    const section = SECURITY.slice(
      SECURITY.indexOf('## What is defended'),
      SECURITY.indexOf('## What is not'),
    );
    const rows = section.split('\n').filter((line) => /^\| (?!threat|---)/.test(line));
    for (const row of rows) {
      const tests = [...row.matchAll(/`(test\/[\w./-]+)`/g)].map(([, path]) => path!);
      expect(tests.length, row).toBeGreaterThan(0);
      for (const path of tests) expect(() => readFileSync(join(ROOT, path)), path).not.toThrow();
    }
  });
});
