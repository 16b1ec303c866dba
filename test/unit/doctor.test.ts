import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { limitIn, openFilesLimit } from '../../src/app/open-files-limit.ts';
import type { RedisFacts } from '../../src/backplane/redis/start/inspect.ts';
import { checkAccess } from '../../src/cli/doctor/access.ts';
import { checkClocks } from '../../src/cli/doctor/clocks.ts';
import { type Finding, ok, problem, warning } from '../../src/cli/doctor/finding.ts';
import { checkKernel } from '../../src/cli/doctor/kernel.ts';
import { checkNode } from '../../src/cli/doctor/node.ts';
import { checkOpenFiles } from '../../src/cli/doctor/open-files.ts';
import type { NodeFacts } from '../../src/cli/doctor/probe-node.ts';
import { checkReceiveMemory } from '../../src/cli/doctor/receive-memory.ts';
import { checkRedisLink } from '../../src/cli/doctor/redis-link.ts';
import { checkRedisMemory } from '../../src/cli/doctor/redis-memory.ts';
import { checkRedisOutputBuffer } from '../../src/cli/doctor/redis-output-buffer.ts';
import { checkRedisPersistence } from '../../src/cli/doctor/redis-persistence.ts';
import { checkRedisServer } from '../../src/cli/doctor/redis-server.ts';
import { exitCodeFor, jsonReport, textReport } from '../../src/cli/doctor/report.ts';
import { checkTls } from '../../src/cli/doctor/tls.ts';
import { bytes, duration } from '../../src/cli/doctor/units.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';

const MIB = 1_048_576;

const soundRedis: RedisFacts = {
  version: '7.2.0',
  versionProblem: null,
  role: 'master',
  maxMemoryBytes: 512 * MIB,
  usedMemoryBytes: 10 * MIB,
  maxMemoryPolicy: 'noeviction',
  evictedKeys: 0,
  appendOnly: true,
  appendFsync: 'everysec',
  snapshots: '',
  diskFailed: false,
  pubsubBuffer: { hardBytes: 64 * MIB, softBytes: 32 * MIB, softSeconds: 30 },
  maxClients: 10_000,
  connectedClients: 5,
  connectedReplicas: 0,
  ignoresPassword: false,
  needsFullCoverage: null,
  clockAheadMs: 1,
  roundTripMs: 0.4,
  obstacles: [],
};

function config(env: Readonly<Record<string, string>> = {}): Config {
  const loaded = loadConfig({ env });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
}

/** `level about` of each finding. */
function levels(findings: readonly Finding[]): string[] {
  return findings.map(({ level, about }) => `${level} ${about}`);
}

describe('the checks of Redis', () => {
  it('find nothing in one that is sound', () => {
    const found = [
      ...checkRedisServer(soundRedis),
      ...checkRedisMemory(soundRedis),
      ...checkRedisOutputBuffer(soundRedis),
      ...checkRedisPersistence(soundRedis),
    ];
    expect(found.filter(({ level }) => level !== 'ok')).toEqual([]);
  });

  it.each([
    [checkRedisServer, { versionProblem: 'it is version 6.2' }, 'problem'],
    [checkRedisServer, { role: 'slave' }, 'problem'],
    [checkRedisServer, { connectedClients: 9990 }, 'warning'],
    [checkRedisMemory, { maxMemoryPolicy: 'volatile-lru' }, 'problem'],
    [checkRedisMemory, { maxMemoryPolicy: 'volatile-lru', maxMemoryBytes: 0 }, 'warning'],
    [checkRedisMemory, { maxMemoryBytes: 0 }, 'warning'],
    [checkRedisMemory, { usedMemoryBytes: 450 * MIB }, 'warning'],
    [checkRedisMemory, { evictedKeys: 3 }, 'warning'],
    [checkRedisOutputBuffer, { pubsubBuffer: { hardBytes: 0, softBytes: 0, softSeconds: 0 } }, 'warning'],
    [
      checkRedisOutputBuffer,
      { pubsubBuffer: { hardBytes: 64 * MIB, softBytes: MIB, softSeconds: 9 } },
      'warning',
    ],
    [checkRedisPersistence, { diskFailed: true }, 'problem'],
    [checkRedisPersistence, { appendFsync: 'no' }, 'warning'],
    [checkRedisPersistence, { appendOnly: false }, 'warning'],
    [checkRedisPersistence, { appendOnly: false, snapshots: null }, 'warning'],
  ])('see through %o what is wrong with %o', (check, fault, level) => {
    const worst = check({ ...soundRedis, ...fault }).filter((one) => one.level !== 'ok');
    expect(worst.map((one) => one.level)).toContain(level);
    for (const { advice } of worst) expect(advice).toBeTruthy();
  });

  it('ask for a password, a checked certificate and nearness', () => {
    const link = (url: string, roundTripMs = 1, env = {}) =>
      checkRedisLink(config({ REDIS_URL: url, ...env }), { ...soundRedis, roundTripMs }).filter(
        ({ level }) => level !== 'ok',
      );
    expect(link('redis://localhost')).toEqual([]);
    expect(link('redis://127.0.0.3')).toEqual([]);
    expect(link('redis://:secret@redis')).toEqual([]);
    expect(link('redis://redis').map(({ says }) => says)).toEqual([expect.stringContaining('no password')]);
    expect(link('redis://localhost', 80).map(({ says }) => says)).toEqual(['localhost answers within 80 ms']);
    const unchecked = { ROOMCAST_REDIS_TLS_REJECT_UNAUTHORIZED: 'false' };
    expect(link('rediss://:secret@redis', 1, unchecked).map(({ says }) => says)).toEqual([
      expect.stringContaining('not checked'),
    ]);
  });
});

describe('the check of clocks', () => {
  const reading = (whose: string, aheadMs: number, doubtMs = 1) => ({ whose, aheadMs, doubtMs });

  it('compares the two that are furthest apart, whoever they are', () => {
    expect(checkClocks([reading('a', 20), reading('b', -30)])).toEqual([
      ok('clocks', '3 clocks agree to within 250 ms'),
    ]);
    expect(checkClocks([reading('a', 800), reading('b', -700)])[0]).toMatchObject({
      level: 'warning',
      says: expect.stringMatching(/^a is 1\.5 s ahead of b/),
    });
    expect(checkClocks([reading('a', 90_000)])[0]).toMatchObject({
      level: 'problem',
      says: expect.stringMatching(/^a is 90 s ahead of this machine/),
    });
  });

  it('does not blame a clock for a slow network', () => {
    expect(levels(checkClocks([reading('a', 900, 900)]))).toEqual(['ok clocks']);
    expect(checkClocks([])).toEqual([]);
  });
});

describe('the checks of the machine', () => {
  it('count wanted connections against open files', () => {
    expect(levels(checkOpenFiles(65_536, 50_000))).toEqual(['ok open files']);
    expect(levels(checkOpenFiles(1024, 50_000))).toEqual(['problem open files']);
    expect(levels(checkOpenFiles(1024, 0))).toEqual(['warning open files']);
    expect(checkOpenFiles(null, 50_000)).toEqual([]);
    expect(openFilesLimit()).toBeGreaterThan(100);
    expect(
      limitIn(
        'Limit  Soft  Hard  Units\nMax open files            1024                 4096                 files\n',
      ),
    ).toBe(1024);
    expect(limitIn('Max open files            unlimited            unlimited            files\n')).toBeNull();
  });

  it('compares what unfinished messages may hold with the memory there is', () => {
    const capacity = { connections: 10_000, unauthenticated: 1000, sockets: 11_000 };
    const [fits] = checkReceiveMemory(capacity, 65_536, 1024 ** 3);
    expect(fits).toMatchObject({ level: 'ok', says: expect.stringContaining('664.1 MiB') });
    const [tooLittle] = checkReceiveMemory(capacity, 65_536, 512 * 1024 ** 2);
    expect(tooLittle).toMatchObject({
      level: 'warning',
      advice: expect.stringContaining('websocket.maxConnections'),
    });
    expect(tooLittle!.advice).toContain('3855');
  });

  it('look at the backlog, and say nothing where there is nothing to read', () => {
    expect(levels(checkKernel({ somaxconn: 128, notsentLowat: 16_384 }))).toEqual(['warning kernel']);
    expect(levels(checkKernel({ somaxconn: 4096, notsentLowat: 4_294_967_295 }))).toEqual([
      'ok kernel',
      'ok kernel',
    ]);
    expect(checkKernel({ somaxconn: null, notsentLowat: null })).toEqual([]);
  });
});

describe('the check of access', () => {
  const sound = {
    NODE_ENV: 'production',
    ROOMCAST_AUTH_SECRET: 'x'.repeat(32),
    ROOMCAST_ALLOWED_ORIGINS: 'https://*.example.com',
    ROOMCAST_API_KEYS: 'k'.repeat(24),
  };

  it('finds nothing in settings that are meant for production', () => {
    expect(levels(checkAccess(config(sound)))).toEqual([
      'ok production',
      'ok authentication',
      'ok origins',
      'ok http api',
    ]);
  });

  it('says where connections without a token are admitted beside others', () => {
    const [, authentication] = checkAccess(config({ ...sound, ROOMCAST_AUTH_ANONYMOUS: 'true' }));
    expect(authentication).toMatchObject({ level: 'ok', says: expect.stringContaining('anonymous') });
  });

  it('says what the HTTP API does without a key', () => {
    const says = (env: Record<string, string>) =>
      checkAccess(config(env)).find(({ about }) => about === 'http api')?.says;
    const local = 'it answers only requests from the same machine: no key is set';
    expect(says({})).toBe(local);
    expect(says({ ROOMCAST_AUTH_SECRET: 'x'.repeat(32) })).toBe('it is off: no key is set');
    expect(says({ NODE_ENV: 'production' })).toBe('it is off: no key is set');
  });

  it.each([
    [{ NODE_ENV: 'development' }, 'warning production'],
    [{ ROOMCAST_DEMO: 'true' }, 'warning production'],
    [{ ROOMCAST_AUTH_SECRET: '' }, 'problem authentication'],
    [{ ROOMCAST_AUTH_JWKS_URL: 'http://id/jwks', ROOMCAST_AUTH_SECRET: '' }, 'warning authentication'],
    [{ ROOMCAST_ALLOWED_ORIGINS: '' }, 'warning origins'],
    [{ ROOMCAST_ALLOWED_ORIGINS: 'http://example.com' }, 'warning origins'],
  ])('objects to %o', (fault, expected) => {
    const found = levels(checkAccess(config({ ...sound, ...fault })));
    expect(found.filter((one) => !one.startsWith('ok'))).toContain(expected);
  });
});

describe('the check of certificates', () => {
  const DAY_MS = 86_400_000;
  let folder: string;
  const at = (name: string) => join(folder, name);

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'roomcast-doctor-'));
    const make = (name: string) =>
      execFileSync(
        'openssl',
        [
          ...[
            'req',
            '-x509',
            '-newkey',
            'ec',
            '-pkeyopt',
            'ec_paramgen_curve:P-256',
            '-nodes',
            '-days',
            '30',
          ],
          ...['-subj', '/CN=localhost', '-keyout', at(`${name}.key`), '-out', at(`${name}.crt`)],
        ],
        { stdio: 'ignore' },
      );
    make('one');
    make('other');
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  const secure = (certificate: string, key: string) =>
    config({ ROOMCAST_TLS_CERT_FILE: at(certificate), ROOMCAST_TLS_KEY_FILE: at(key) });

  it('tells how long one is still good', () => {
    const settings = secure('one.crt', 'one.key');
    const levelIn = (days: number) => checkTls(settings, Date.now() + days * DAY_MS)[0]?.level;
    expect([levelIn(0), levelIn(20), levelIn(31), levelIn(-1)]).toEqual([
      'ok',
      'warning',
      'problem',
      'problem',
    ]);
  });

  it('sees files that do not belong together, and such as are none', () => {
    expect(checkTls(secure('one.crt', 'other.key'), Date.now())[0]?.says).toContain('is not the key of');
    expect(checkTls(secure('one.key', 'one.key'), Date.now())[0]?.says).toMatch(/^cannot use/);
  });

  it('leaves TLS to a proxy where none is set', () => {
    expect(levels(checkTls(config(), Date.now()))).toEqual(['ok tls']);
  });
});

describe('the check of a node', () => {
  const sound: NodeFacts = {
    url: new URL('http://n1:8080'),
    health: { status: 200, body: '{"status":"alive"}' },
    ready: { status: 200, body: '{"status":"ready"}' },
    version: '1.0.0',
    shortHistories: 0,
    clock: null,
    socket: { outcome: 'answered', node: 'abcdefgh', roundTripMs: 3 },
  };
  const check = (fault: Partial<NodeFacts>, needsToken = false) =>
    checkNode({ ...sound, ...fault }, { needsToken }).map(({ level, says }) => `${level}: ${says}`);

  it('is content with one that answers', () => {
    expect(check({})).toEqual([
      'ok: alive and ready',
      'ok: WebSocket, hello and ping work: node abcdefgh, 3 ms',
    ]);
  });

  it('repeats what the node says of itself', () => {
    const ready = { status: 503, body: '{"status":"not ready","reason":"the node is shutting down"}' };
    expect(check({ ready })[0]).toBe('problem: not ready: the node is shutting down');
    const degraded = ['redis 10.0.0.2:6379: command link is down', 'redis 10.0.0.3:6379: frozen'];
    expect(check({ ready: { status: 200, body: JSON.stringify({ status: 'ready', degraded }) } })[1]).toBe(
      `warning: degraded: the rooms of some shards are unavailable: ${degraded.join(', ')}`,
    );
    expect(check({ ready: { status: 503, body: '<html>' } })[0]).toBe(
      'problem: not ready: /readyz answers 503',
    );
  });

  it('takes silence for a question for a token only where clients need a token', () => {
    expect(check({ socket: { outcome: 'silent' } }, true)[1]).toMatch(/^ok/);
    expect(check({ socket: { outcome: 'silent' } }, false)[1]).toMatch(/^problem/);
  });

  it('tells a certificate that nobody vouches for from a port that nobody can reach', () => {
    const advice = (failure: string) =>
      checkNode({ ...sound, health: { failure } }, { needsToken: false })[0]!.advice;
    expect(advice('DEPTH_ZERO_SELF_SIGNED_CERT')).toContain('NODE_EXTRA_CA_CERTS');
    expect(advice('UNABLE_TO_VERIFY_LEAF_SIGNATURE')).toContain('NODE_EXTRA_CA_CERTS');
    expect(advice('ERR_TLS_CERT_ALTNAME_INVALID')).toContain('a certificate for this name');
    expect(advice('ECONNREFUSED')).toContain('no firewall');
    expect(advice('UND_ERR_SOCKET')).toContain('if this port uses TLS, name it with https://');
    expect(advice('ERR_SSL_WRONG_VERSION_NUMBER')).toContain('name it with http://');
  });

  it('tells of rooms that keep less than a reconnect takes', () => {
    expect(check({ shortHistories: null })).toHaveLength(2);
    expect(check({ shortHistories: 3 })[2]).toMatch(/^warning: 3 rooms keep less than 30 s of messages/);
    expect(check({ shortHistories: 1 })[2]).toMatch(/^warning: 1 room keeps less/);
  });

  it('names close codes, and answers that come slowly', () => {
    expect(check({ socket: { outcome: 'closed', code: 4501, reason: 'unauthorized' } })[1]).toBe(
      'problem: the WebSocket was closed with 4501 unauthorized',
    );
    expect(check({ socket: { outcome: 'answered', node: 'abcdefgh', roundTripMs: 900 } })[1]).toMatch(
      /^warning/,
    );
  });
});

describe('the report', () => {
  const found = [
    ok('a', 'fine'),
    warning('bb', 'not for long', 'mend it'),
    problem('c', 'broken', 'replace it'),
  ];

  it('has a line for each finding, and one that sums up', () => {
    expect(textReport(found).split('\n')).toEqual([
      'ok       a   fine',
      'warning  bb  not for long -> mend it',
      'problem  c   broken -> replace it',
      '',
      '1 problem, 1 warning',
      '',
    ]);
    expect(JSON.parse(jsonReport(found))).toEqual({
      healthy: false,
      problems: 1,
      warnings: 1,
      findings: found,
    });
  });

  it('fails for problems, and for warnings where it is strict', () => {
    expect(exitCodeFor(found, false)).toBe(1);
    expect(exitCodeFor(found.slice(0, 2), false)).toBe(0);
    expect(exitCodeFor(found.slice(0, 2), true)).toBe(1);
    expect(exitCodeFor(found.slice(0, 1), true)).toBe(0);
  });

  it('writes amounts as people read them', () => {
    expect([bytes(0), bytes(1536), bytes(64 * MIB), bytes(1.5 * 1024 * MIB)]).toEqual([
      '0 B',
      '1.5 KiB',
      '64 MiB',
      '1.5 GiB',
    ]);
    expect([duration(3.4), duration(-1500), duration(240_000)]).toEqual(['3 ms', '1.5 s', '4 min']);
  });
});
