import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Config } from '../../src/config/config.ts';
import { type LoadOptions, loadConfig } from '../../src/config/load.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { HTTP_ROUTES } from '../../src/metrics/labels.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roomcast-config-'));
});

afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function load(options: Partial<LoadOptions>): Config {
  const result = loadConfig({ env: {}, ...options });
  if ('problems' in result) throw new Error(result.problems.join('\n'));
  return result.config;
}

/** The problems, with the folder of this run left out. */
function problems(options: Partial<LoadOptions>): string[] {
  const result = loadConfig({ env: {}, ...options });
  if ('config' in result) throw new Error('the configuration is valid');
  return result.problems.map((line) => line.replaceAll(`${folder}/`, ''));
}

describe('defaults', () => {
  it('need nothing to be given', () => {
    const config = load({});
    expect(config.port).toBe(8080);
    expect(config.redis.url).toBeNull();
    expect(config.tls).toBeNull();
    expect(config.rooms).toEqual([]);
    expect(config.history).toEqual({ messages: 10_000, ageMs: 300_000, bytes: 2 * 1024 * 1024 });
  });

  it('take production from NODE_ENV, and the demo page from production', () => {
    expect(load({})).toMatchObject({ production: false, demo: true });
    expect(load({ env: { NODE_ENV: 'production' } })).toMatchObject({ production: true, demo: false });
    expect(load({ env: { ROOMCAST_PRODUCTION: 'true' } })).toMatchObject({ production: true, demo: false });
    const shown = load({ env: { NODE_ENV: 'production', ROOMCAST_DEMO: 'on' } });
    expect(shown).toMatchObject({ production: true, demo: true });
  });

  it('take a Redis Cluster from several URLs', () => {
    const clusterOf = (env: Record<string, string>) => load({ env }).redis.cluster;
    expect(clusterOf({})).toBe(false);
    expect(clusterOf({ REDIS_URL: 'redis://a,b@c' })).toBe(false);
    expect(clusterOf({ REDIS_URL: 'redis://a,redis://b' })).toBe(true);
    expect(clusterOf({ REDIS_URL: 'redis://a', ROOMCAST_REDIS_CLUSTER: 'true' })).toBe(true);
    expect(load({ flags: { redis: 'redis://a', redisCluster: true } }).redis.cluster).toBe(true);
  });

  it('take a primary and its Sentinels from flags alone', () => {
    const flags = { redis: 'redis://a', redisSentinels: 'redis://b', redisSentinelName: 'chat' };
    const { url, sentinels, sentinelName } = load({ flags }).redis;
    expect([url, sentinels, sentinelName]).toEqual(['redis://a', 'redis://b', 'chat']);
  });

  it('are what the example file spells out, but for its rules', () => {
    const file = join(import.meta.dirname, '../../deploy/roomcast.example.yaml');
    const { rooms, ...example } = load({ file });
    const { rooms: _, ...standard } = load({});
    expect(example).toEqual(standard);
    expect(rooms).toHaveLength(3);
    const spelt = parse(readFileSync(file, 'utf8'));
    const missing = SETTINGS.filter(({ keys }) => keys.reduce((at, key) => at?.[key], spelt) === undefined);
    expect(missing.map(({ path }) => path)).toEqual(['production', 'demo', 'redis.cluster']);
  });
});

describe('NODE_ENV', () => {
  it.each([
    '"production"',
    "'production'",
    'Production',
    'PRODUCTION',
    ' production',
    'production\r',
    'prod',
    '"test"',
  ])('is refused as %j, which would leave open what production closes', (text) => {
    const lines = problems({ env: { NODE_ENV: text } });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^environment NODE_ENV: expected exactly production, without quotes/);
    expect(lines[0]).toContain(JSON.stringify(text));
  });

  it.each(['', 'test', 'development', 'staging'])('may be %j, which is not production', (text) => {
    expect(load({ env: { NODE_ENV: text } })).toMatchObject({ production: false, demo: true });
  });

  it('decides nothing where the setting is given', () => {
    for (const [given, production] of [
      ['true', true],
      ['false', false],
    ] as const) {
      const env = { NODE_ENV: '"production"', ROOMCAST_PRODUCTION: given };
      expect(load({ env })).toMatchObject({ production, demo: !production });
    }
    expect(problems({ env: { NODE_ENV: 'prod', ROOMCAST_PRODUCTION: '"true"' } })).toHaveLength(2);
  });
});

describe('values in quotes', () => {
  const IN_QUOTES = 'the quotes are part of the value: remove them';

  it.each([
    ['ROOMCAST_AUTH_SECRET', '"hush hush"'],
    ['ROOMCAST_API_KEYS', '"hush"'],
    ['ROOMCAST_API_KEYS', "'hush,hush2'"],
    ['ROOMCAST_API_KEYS', 'first, "hush"'],
    ['ROOMCAST_API_KEYS', '""'],
    ['REDIS_URL', '"redis://:hush@redis"'],
    ['ROOMCAST_AUTH_JWKS_URL', "'https://id/jwks'"],
    ['ROOMCAST_AUTH_ISSUER', '"id"'],
    ['ROOMCAST_PORT', '"80"'],
    ['ROOMCAST_PRODUCTION', '"true"'],
    ['ROOMCAST_ROOMS', `'[{"match": "a"}]'`],
    ['ROOMCAST_ALLOWED_ORIGINS', ' "https://example.com" '],
  ])('are refused in %s, and not shown: %s', (name, value) => {
    const lines = problems({ env: { [name]: value } });
    expect(lines).toContain(`environment ${name}: ${IN_QUOTES}`);
    expect(lines.join()).not.toContain('hush');
  });

  it('are refused in the files of secrets and in flags', () => {
    const env = { ROOMCAST_API_KEYS_FILE: write('quoted', '"hush"\n') };
    expect(problems({ env })).toEqual([`environment ROOMCAST_API_KEYS_FILE: ${IN_QUOTES}`]);
    const flags = { redis: '"redis://a"', apiKey: ['k', "'l'"] };
    expect(problems({ flags })).toEqual([`flag --api-key: ${IN_QUOTES}`, `flag --redis: ${IN_QUOTES}`]);
  });

  it('are a way of writing in YAML, and may be inside of a value', () => {
    expect(
      load({ file: write('quotes.yaml', 'apiKeys: ["first-key-of-two"]\nauth: {jwksUrl: \'https://a\'}') }),
    ).toMatchObject({
      apiKeys: ['first-key-of-two'],
      auth: { jwksUrl: 'https://a' },
    });
    const secret = 'a"b"c'.repeat(8);
    expect(load({ env: { ROOMCAST_AUTH_SECRET: secret } }).auth.secret).toBe(secret);
  });
});

describe('sources', () => {
  it('count for more the later they come: defaults, file, environment, flags', () => {
    const file = write(
      'order.yaml',
      'port: 1001\nhost: 10.0.0.1\nlog: { level: warn }\nheartbeat: { intervalMs: 5000 }',
    );
    const env = { ROOMCAST_PORT: '1002', ROOMCAST_LOG_LEVEL: 'error' };
    const config = load({ file, env, flags: { port: '1003' } });
    expect(config.port).toBe(1003);
    expect(config.log).toEqual({ level: 'error', format: 'auto' });
    expect(config.host).toBe('10.0.0.1');
    expect(config.heartbeat.intervalMs).toBe(5000);
    expect(config.drain.windowMs).toBe(10_000);
  });

  it('may be a JSON file, which ROOMCAST_CONFIG names unless a flag names one', () => {
    const json = write('a.json', '{"port": 1, "apiKeys": ["first-key-of-two"]}');
    const other = write('b.yaml', 'port: 2');
    expect(load({ env: { ROOMCAST_CONFIG: json } })).toMatchObject({
      port: 1,
      apiKeys: ['first-key-of-two'],
    });
    expect(load({ file: other, env: { ROOMCAST_CONFIG: json } }).port).toBe(2);
  });

  it('include PORT and REDIS_URL, which ROOMCAST_PORT and ROOMCAST_REDIS_URL beat', () => {
    const env = { PORT: '1', REDIS_URL: 'redis://a:1' };
    expect(load({ env })).toMatchObject({ port: 1, redis: { url: 'redis://a:1' } });
    const both = { ...env, ROOMCAST_PORT: '2', ROOMCAST_REDIS_URL: 'redis://b:2' };
    expect(load({ env: both })).toMatchObject({ port: 2, redis: { url: 'redis://b:2' } });
  });

  it('give lists with commas, booleans as words and rules as JSON in the environment', () => {
    const config = load({
      env: {
        ROOMCAST_API_KEYS: 'first-key-of-two, second-key-of-two,',
        ROOMCAST_TRUST_PROXY: 'YES',
        ROOMCAST_REDIS_TLS_REJECT_UNAUTHORIZED: '0',
        ROOMCAST_ROOMS: '[{"match": "chat:*", "history": {"messages": 5}}]',
      },
    });
    expect(config.apiKeys).toEqual(['first-key-of-two', 'second-key-of-two']);
    expect(config.trustProxy).toBe(true);
    expect(config.redis.tls.rejectUnauthorized).toBe(false);
    expect(config.rooms).toEqual([{ match: 'chat:*', history: { messages: 5 } }]);
  });

  it('give trusted proxies as a word or as a list of addresses and networks', () => {
    const trusted = (value: string) => load({ env: { ROOMCAST_TRUST_PROXY: value } }).trustProxy;
    expect(['true', 'no', '1'].map(trusted)).toEqual([true, false, true]);
    expect(trusted('10.0.0.0/8, fd00::/8,loopback,192.0.2.7')).toEqual([
      '10.0.0.0/8',
      'fd00::/8',
      'loopback',
      '192.0.2.7',
    ]);
    const file = write('proxies.yaml', 'trustProxy: [loopback, 10.0.0.0/8]');
    expect(load({ file, env: {} }).trustProxy).toEqual(['loopback', '10.0.0.0/8']);
    const text = write('proxies-text.yaml', 'trustProxy: loopback, 10.0.0.0/8');
    expect(load({ file: text, env: {} }).trustProxy).toEqual(['loopback', '10.0.0.0/8']);
    for (const bad of [
      '10.0.0.0/33',
      '::1/129',
      '10.0.0/8',
      'fe80::1%eth0',
      'proxy.local',
      '10.0.0.0/8/9',
      '/8',
    ]) {
      expect(problems({ env: { ROOMCAST_TRUST_PROXY: bad } })).toEqual([
        expect.stringMatching(/^environment ROOMCAST_TRUST_PROXY\[0\]: expected true, false, or a list/),
      ]);
    }
  });

  it('keep the metrics on another port than clients', () => {
    expect(problems({ env: { PORT: '9000', ROOMCAST_METRICS_PORT: '9000' } })).toEqual([
      'environment ROOMCAST_METRICS_PORT: must differ from port, both are 9000',
    ]);
    expect(problems({ env: { ROOMCAST_METRICS_HOST: '127.0.0.1' } })).toEqual([
      'environment ROOMCAST_METRICS_HOST: needs metrics.port as well',
    ]);
  });

  it('refuse keys that HTTP libraries send in different ways', () => {
    for (const name of ['ROOMCAST_API_KEYS', 'ROOMCAST_METRICS_KEY']) {
      expect(problems({ env: { [name]: 'schl\u00fcssel' } })).toEqual([
        expect.stringContaining('expected a key of printable ASCII without spaces and commas'),
      ]);
    }
  });

  it('give every setting a variable of its own, derived from its path', () => {
    const names = SETTINGS.map(({ environment }) => environment);
    expect(new Set(names).size).toBe(names.length);
    const intervalMs = SETTINGS.find(({ path }) => path === 'heartbeat.intervalMs');
    expect(intervalMs?.environment).toBe('ROOMCAST_HEARTBEAT_INTERVAL_MS');
  });

  it('hold an empty variable for one that is not set', () => {
    expect(
      load({ env: { ROOMCAST_REDIS_URL: '', REDIS_URL: 'redis://a', ROOMCAST_PORT: ' ' } }),
    ).toMatchObject({
      port: 8080,
      redis: { url: 'redis://a' },
    });
  });

  it('hold an empty group in the file for nothing, so that its settings may be commented out', () => {
    expect(load({ file: write('empty.yaml', 'tls:\nheartbeat:\n  # intervalMs: 5\n') })).toEqual(load({}));
    expect(load({ file: write('none.yaml', '# nothing\n') })).toEqual(load({}));
  });

  it('read secrets from the files that _FILE variables name', () => {
    const config = load({
      env: {
        ROOMCAST_API_KEYS_FILE: write('keys', 'first-key-of-two\nsecond-key-of-two\n'),
        ROOMCAST_AUTH_SECRET_FILE: write('secret', `${'hush'.repeat(8)}\n`),
        REDIS_URL_FILE: write('url', 'redis://:pw@redis:6379\n'),
      },
    });
    expect(config.apiKeys).toEqual(['first-key-of-two', 'second-key-of-two']);
    expect(config.auth.secret).toBe('hush'.repeat(8));
    expect(config.redis.url).toBe('redis://:pw@redis:6379');
  });

  it('leave alone what Kubernetes says of a service with the same name', () => {
    const env = {
      ROOMCAST_PORT: 'tcp://10.0.0.7:80',
      ROOMCAST_PORT_80_TCP: 'tcp://10.0.0.7:80',
      ROOMCAST_PORT_80_TCP_ADDR: '10.0.0.7',
      ROOMCAST_SERVICE_HOST: '10.0.0.7',
      ROOMCAST_REDIS_SERVICE_PORT_MAIN: '6379',
    };
    expect(load({ env })).toEqual(load({}));
  });
});

describe('settings that a program gives', () => {
  it('win over the file, and lose against the environment', () => {
    const file = write('given.yaml', 'port: 1\ndedupWindowMs: 2000\nhistory:\n  messages: 3\n');
    const settings = { dedupWindowMs: 4000, history: { messages: 5 } };
    const config = load({ file, settings, env: { ROOMCAST_HISTORY_MESSAGES: '6' } });
    expect([config.port, config.dedupWindowMs, config.history.messages]).toEqual([1, 4000, 6]);
  });

  it('are checked as those of a file', () => {
    const settings = { prot: 1, history: { messages: -1 } } as LoadOptions['settings'] & object;
    expect(problems({ settings })).toEqual([
      expect.stringMatching(/^settings: unknown key "prot" .*"port"/),
      expect.stringMatching(/^settings history.messages: .*got -1$/),
    ]);
  });
});

describe('the result', () => {
  it('is frozen to its leaves', () => {
    const config = load({ env: { ROOMCAST_ROOMS: '[{"match": "a", "history": {"messages": 1}}]' } });
    const parts = [
      config,
      config.redis,
      config.redis.tls,
      config.rooms,
      config.rooms[0],
      config.rooms[0]?.history,
    ];
    expect(parts.every((part) => Object.isFrozen(part))).toBe(true);
    expect(() => Object.assign(config.history, { messages: 1 })).toThrow(TypeError);
  });

  it('does not share its lists with the next one', () => {
    expect(load({}).apiKeys).not.toBe(load({}).apiKeys);
  });

  it('has TLS where both files are named', () => {
    const certFile = write('cert.pem', 'c');
    const keyFile = write('key.pem', 'k');
    expect(load({ env: { ROOMCAST_TLS_CERT_FILE: certFile, ROOMCAST_TLS_KEY_FILE: keyFile } }).tls).toEqual({
      certFile,
      keyFile,
      passphrase: null,
    });
  });
});

describe('problems', () => {
  it('are all reported together, each with its source and key', () => {
    const file = write(
      'bad.yaml',
      'heartbeet: {}\nredis_url: redis://a\nhost: 7\nintervalMs: 3\nhistory.messages: 4\nredis: { tls: 3, partitions: 0 }',
    );
    const env = {
      ROOMCAST_HEARTBEAT_INTERVAL_MS: 'abc',
      ROOMCAST_HEARTBEAT_INTERVAL: '5',
      ROOMCAST_TRUST_PROXY: 'maybe',
      ROOMCAST_QQQQ: '1',
    };
    expect(problems({ file, env, flags: { port: '99999', logLevel: 'loud' } }).sort()).toEqual([
      'environment ROOMCAST_HEARTBEAT_INTERVAL: unknown variable — did you mean "ROOMCAST_HEARTBEAT_INTERVAL_MS"?',
      'environment ROOMCAST_HEARTBEAT_INTERVAL_MS: expected a whole number from 1000 to 300000, got "abc"',
      'environment ROOMCAST_QQQQ: unknown variable',
      'environment ROOMCAST_TRUST_PROXY[0]: expected true, false, or a list of addresses and networks such as 10.0.0.0/8, fd00::/8 or loopback, got "maybe"',
      'file bad.yaml host: expected an address, got 7',
      'file bad.yaml redis.partitions: expected a whole number from 1 to 16384, got 0',
      'file bad.yaml redis.tls: expected a group of settings, got 3',
      'file bad.yaml: unknown key "heartbeet" — did you mean "heartbeat"?',
      'file bad.yaml: unknown key "history.messages" — keys are nested, not dotted',
      'file bad.yaml: unknown key "intervalMs" — did you mean "heartbeat.intervalMs"?',
      'file bad.yaml: unknown key "redis_url" — did you mean "redis.url"?',
      'flag --log-level: expected one of debug, info, warn, error, silent, got "loud"',
      'flag --port: expected a whole number from 0 to 65535, got 99999',
    ]);
  });

  it('are reported also where a later source would have counted', () => {
    const file = write('over.yaml', 'port: none');
    expect(problems({ file, env: { PORT: '80' } })).toEqual([
      'file over.yaml port: expected a whole number from 0 to 65535, got "none"',
    ]);
  });

  it('name the rule, the member and what was probably meant', () => {
    const rooms = [
      { match: 'a', histry: false },
      { match: 'b', history: { messages: 'x', agems: 3 }, join: 'nobdy' },
      7,
      { presence: true },
      { match: 'c', history: true },
    ];
    expect(problems({ env: { ROOMCAST_ROOMS: JSON.stringify(rooms) } })).toEqual([
      'environment ROOMCAST_ROOMS[0]: unknown key "histry" — did you mean "history"?',
      'environment ROOMCAST_ROOMS[1].history.messages: expected a whole number from 0 to 100000, got "x"',
      'environment ROOMCAST_ROOMS[1].history: unknown key "agems" — did you mean "ageMs"?',
      'environment ROOMCAST_ROOMS[1].join: expected one of anyone, authenticated, claim, server, nobody, got "nobdy"',
      'environment ROOMCAST_ROOMS[2]: expected a rule such as {"match": "chat:*"}, got 7',
      'environment ROOMCAST_ROOMS[3].match: expected a pattern of 1 to 128 characters such as chat:*, got nothing',
      'environment ROOMCAST_ROOMS[4].history: expected false, or a group of messages, ageMs and bytes, got true',
    ]);
  });

  it.each([
    ['{', 'expected a list of room rules, as JSON in the environment, got "{"'],
    ['{}', 'expected a list of room rules, as JSON in the environment, got {}'],
  ])('say that ROOMCAST_ROOMS=%s is no list of rules', (text, problem) => {
    expect(problems({ env: { ROOMCAST_ROOMS: text } })).toEqual([`environment ROOMCAST_ROOMS: ${problem}`]);
  });

  it.each(['redis:6379', 'localhost:6379', 'http://redis', 'REDIS://a', 'redis://a b'])(
    'refuse %s for Redis',
    (url) => {
      expect(problems({ env: { REDIS_URL: url } })).toEqual([
        'environment REDIS_URL: expected a URL such as redis://localhost:6379 or rediss://user:password@host:6380/0',
      ]);
    },
  );

  it('say what is wrong with the URL of Redis, from every source', () => {
    const says = 'the database after the host must be a whole number, such as /0';
    const url = 'redis://:hush@h/abc';
    expect(problems({ env: { ROOMCAST_REDIS_URL: url } })).toEqual([
      `environment ROOMCAST_REDIS_URL: ${says}`,
    ]);
    expect(problems({ env: {}, flags: { redis: url } })).toEqual([`flag --redis: ${says}`]);
    expect(problems({ file: write('redis.yaml', `redis: { url: "${url}" }`) })).toEqual([
      `file redis.yaml redis.url: ${says}`,
    ]);
  });

  it('never show a secret', () => {
    const lines = problems({
      env: { REDIS_URL: 'http://:hush@redis', ROOMCAST_API_KEYS: 'has hush' },
      flags: { redis: 'redis://:hush@a b' },
    });
    expect(lines).toHaveLength(3);
    expect(lines.join()).not.toContain('hush');
  });

  it('say where a file is no YAML, no group, or no file', () => {
    const [syntax] = problems({ file: write('syntax.yaml', 'port: [1\nhost: x') });
    expect(syntax).toMatch(/^file syntax\.yaml: .* at line 2, column 1$/);
    expect(problems({ file: write('twice.yaml', 'port: 1\nport: 2') })[0]).toMatch(/Map keys must be unique/);
    expect(problems({ file: write('alias.yaml', 'port: *nowhere') })[0]).toMatch(
      /^file alias\.yaml: .*nowhere/,
    );
    expect(problems({ file: write('list.yaml', '- port: 1') })).toEqual([
      'file list.yaml: expected a group of settings, got [{"port":1}]',
    ]);
    expect(problems({ env: { ROOMCAST_CONFIG: `${folder}/absent.yaml` } })).toEqual([
      'file absent.yaml: cannot read it: no such file',
    ]);
    expect(problems({ file: folder })[0]).toMatch(/cannot read it: it is a directory$/);
  });

  it('arise where a secret is given by value and by file, or its file is missing', () => {
    const env = {
      ROOMCAST_API_KEYS: 'a',
      ROOMCAST_API_KEYS_FILE: '/b',
      ROOMCAST_AUTH_SECRET_FILE: `${folder}/absent`,
      ROOMCAST_AUTH_ISSUER: 'me',
    };
    expect(problems({ env })).toEqual([
      'environment ROOMCAST_API_KEYS: conflicts with ROOMCAST_API_KEYS_FILE: remove one of them',
      'environment ROOMCAST_AUTH_SECRET_FILE: cannot read absent: no such file',
    ]);
  });
});

describe('settings that have to fit each other', () => {
  it.each<[string, Record<string, string>, unknown[]]>([
    [
      'a burst is no smaller than the rate',
      { ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '10000' },
      ['default limits.commandBurst: must be at least limits.commandsPerSecond (10000), got 5000'],
    ],
    [
      'a message fits what may wait for its reader',
      { ROOMCAST_WEBSOCKET_BACKPRESSURE_BYTES: '2048' },
      [
        'environment ROOMCAST_WEBSOCKET_BACKPRESSURE_BYTES: must be at least websocket.maxPayloadBytes (65536), got 2048',
      ],
    ],
    [
      'numbering outlives the messages of every room',
      {
        ROOMCAST_META_TTL_MS: '60000',
        ROOMCAST_ROOMS: '[{"match":"a"},{"match":"b","history":{"ageMs":70000}}]',
      },
      [
        'environment ROOMCAST_META_TTL_MS: must be at least history.ageMs (300000), got 60000',
        'environment ROOMCAST_META_TTL_MS: must be at least rooms[1].history.ageMs of "b" (70000), got 60000',
      ],
    ],
    [
      'each rule can be reached',
      { ROOMCAST_ROOMS: '[{"match":"a:*"},{"match":"b"},{"match":"a:*"},{"match":"a:x:*"},{"match":"*"}]' },
      [
        'environment ROOMCAST_ROOMS[2].match: "a:*" repeats rooms[0]',
        'environment ROOMCAST_ROOMS[3].match: "a:x:*" is never reached: rooms[0] "a:*" comes first',
      ],
    ],
    [
      'a rule keeps acks only where there is history',
      {
        ROOMCAST_ROOMS:
          '[{"match":"a","acks":true},{"match":"b","acks":true,"history":false},{"match":"c","acks":true,"history":{"messages":0}}]',
      },
      [
        'environment ROOMCAST_ROOMS[1].acks: "b" keeps no history, and acks need one',
        'environment ROOMCAST_ROOMS[2].acks: "c" keeps no history, and acks need one',
      ],
    ],
    [
      'a TLS certificate has a key, and a Redis client key a certificate',
      {
        ROOMCAST_TLS_CERT_FILE: '/dev/null',
        ROOMCAST_REDIS_TLS_KEY_FILE: '/dev/null',
        REDIS_URL: 'rediss://a',
      },
      [
        'environment ROOMCAST_TLS_CERT_FILE: needs tls.keyFile as well',
        'environment ROOMCAST_REDIS_TLS_KEY_FILE: needs redis.tls.certFile as well',
      ],
    ],
    [
      'files for TLS to Redis go with a URL that asks for TLS',
      { ROOMCAST_REDIS_TLS_CA_FILE: '/dev/null', REDIS_URL: 'redis://a' },
      [
        'environment REDIS_URL: must start with rediss:// when redis.tls names a file, or the link is not encrypted',
      ],
    ],
    [
      'files for TLS to Redis go with a URL',
      { ROOMCAST_REDIS_TLS_CA_FILE: '/dev/null' },
      [
        'default redis.url: missing, and redis.tls names a file: set a rediss:// URL, or remove redis.tls for a node without Redis',
      ],
    ],
    [
      'a Redis Cluster has a URL',
      { ROOMCAST_REDIS_CLUSTER: 'true' },
      [
        'environment ROOMCAST_REDIS_CLUSTER: needs redis.url, the address of one or more servers of the cluster',
      ],
    ],
    [
      'several servers are a Redis Cluster',
      { ROOMCAST_REDIS_CLUSTER: 'false', REDIS_URL: 'redis://a,redis://b' },
      [
        'environment REDIS_URL: names 2 servers, which only a Redis Cluster has, and redis.cluster is false: remove that setting, or name one server',
      ],
    ],
    [
      'a Redis Cluster has only database 0',
      { REDIS_URL: 'redis://a/2,redis://b/2' },
      [
        'environment REDIS_URL: names database 2, but a Redis Cluster has only database 0: remove it from the URL',
      ],
    ],
    [
      'a rule for tokens goes with a key to check them by',
      { ROOMCAST_AUTH_AUDIENCE: 'me' },
      [
        'environment ROOMCAST_AUTH_AUDIENCE: needs auth.secret, auth.publicKeyFile or auth.jwksUrl, or everyone is admitted',
      ],
    ],
    [
      'anonymous connections beside authenticated ones go with a key to check tokens by',
      { ROOMCAST_AUTH_ANONYMOUS: 'true' },
      [
        'environment ROOMCAST_AUTH_ANONYMOUS: has no effect without auth.secret, auth.publicKeyFile or auth.jwksUrl: everyone is anonymous without them',
      ],
    ],
    [
      'a rule skips to the newest message only where one is kept',
      {
        ROOMCAST_ROOMS:
          '[{"match":"a","slowReaders":"latest"},{"match":"b","slowReaders":"latest","history":false},{"match":"c","history":false}]',
      },
      [
        'environment ROOMCAST_ROOMS[1].slowReaders: "b" keeps no history, so there is no newest message to skip to: set history: {messages: 1} to keep only that',
      ],
    ],
    [
      'the same where no room keeps any',
      {
        ROOMCAST_HISTORY_MESSAGES: '0',
        ROOMCAST_ROOMS: '[{"match":"a","slowReaders":"latest","acks":true}]',
      },
      [
        'environment ROOMCAST_ROOMS[0].acks: "a" keeps no history, and acks need one',
        expect.stringContaining('ROOMCAST_ROOMS[0].slowReaders: "a" keeps no history'),
      ],
    ],
    [
      'members of a rule do not take the effect from one another',
      {
        ROOMCAST_ROOMS:
          '[{"match":"a","presence":false,"memberEvents":true},{"match":"b","join":"nobody","publish":"members"},{"match":"c","join":"server","publish":"members","presence":false,"access":{"members":"anyone"}}]',
      },
      [
        'environment ROOMCAST_ROOMS[0].memberEvents: "a" has presence: false, so members cannot be told who joins and leaves',
        'environment ROOMCAST_ROOMS[1].publish: "b" has join: nobody, so there are no members to publish',
        'environment ROOMCAST_ROOMS[2].publish: "c" has join: server, so there are no members to publish',
        'environment ROOMCAST_ROOMS[2].access.members: "c" has presence: false, so there is no list of members',
      ],
    ],
    [
      'what a claim decides needs tokens',
      {
        ROOMCAST_ROOMS:
          '[{"match":"a","join":"claim"},{"match":"b","access":{"history":"claim","ack":"server"}}]',
      },
      [
        expect.stringMatching(
          /^environment ROOMCAST_ROOMS\[0\]: "a" has join: claim, which needs auth\.secret/,
        ),
        expect.stringMatching(/^environment ROOMCAST_ROOMS\[1\]: "b" has history: claim, which needs/),
      ],
    ],
    [
      'who may do what is a closed list',
      {
        ROOMCAST_ROOMS:
          '[{"match":"a","access":{"members":"nobody"}},{"match":"b","access":{"read":"anyone"}}]',
      },
      [
        'environment ROOMCAST_ROOMS[0].access.members: expected one of anyone, authenticated, claim, server, got "nobody"',
        'environment ROOMCAST_ROOMS[1].access: unknown key "read"',
      ],
    ],
    [
      'tokens are checked in one way',
      {
        ROOMCAST_AUTH_SECRET: 's'.repeat(32),
        ROOMCAST_AUTH_PUBLIC_KEY_FILE: '/dev/null',
        ROOMCAST_AUTH_JWKS_URL: 'http://a',
      },
      [
        'environment ROOMCAST_AUTH_SECRET: conflicts with auth.publicKeyFile: remove one of them',
        'environment ROOMCAST_AUTH_SECRET: conflicts with auth.jwksUrl: remove one of them',
        'environment ROOMCAST_AUTH_PUBLIC_KEY_FILE: conflicts with auth.jwksUrl: remove one of them',
      ],
    ],
    [
      'proxies are believed only where they are named',
      { ROOMCAST_PROXY_PROTOCOL: 'true' },
      ['environment ROOMCAST_PROXY_PROTOCOL: needs trustProxy, the proxies that are believed'],
    ],
    [
      'a proxy that names the client before TLS is none of a node with TLS',
      {
        ROOMCAST_PROXY_PROTOCOL: 'true',
        ROOMCAST_TRUST_PROXY: 'loopback',
        ROOMCAST_TLS_CERT_FILE: '/dev/null',
        ROOMCAST_TLS_KEY_FILE: '/dev/null',
      },
      [expect.stringMatching(/^environment ROOMCAST_PROXY_PROTOCOL: conflicts with tls.certFile: /)],
    ],
    [
      'keys are fetched without a password',
      { ROOMCAST_AUTH_JWKS_URL: 'https://me:hush@id/jwks' },
      [
        'environment ROOMCAST_AUTH_JWKS_URL: must not contain a user name or password: they are not sent when keys are fetched',
      ],
    ],
    [
      'a passphrase goes with a key',
      { ROOMCAST_TLS_PASSPHRASE: 'hush' },
      ['environment ROOMCAST_TLS_PASSPHRASE: needs tls.keyFile, the key that it decrypts'],
    ],
    [
      'a file that is named is no folder',
      { ROOMCAST_AUTH_PUBLIC_KEY_FILE: '/' },
      ['environment ROOMCAST_AUTH_PUBLIC_KEY_FILE: cannot read /: it is a directory'],
    ],
    [
      'a file that is named can be read',
      { ROOMCAST_AUTH_PUBLIC_KEY_FILE: '/no/such/key.pem' },
      ['environment ROOMCAST_AUTH_PUBLIC_KEY_FILE: cannot read /no/such/key.pem: no such file'],
    ],
  ])('%s', (_, env, expected) => {
    expect(problems({ env })).toEqual(expected);
  });

  it.each([
    '/v1',
    '/v1/publish',
    '/v1/anything',
    '/',
    ...HTTP_ROUTES.filter((route) => /^\/\w+$/.test(route)),
  ])('the WebSocket endpoint is not at %s, which is another route', (path) => {
    expect(problems({ env: { ROOMCAST_WEBSOCKET_PATH: path } })).toEqual([
      expect.stringMatching(
        /^environment ROOMCAST_WEBSOCKET_PATH: \S+ (is an HTTP route of the node|serves the demo page):/,
      ),
    ]);
  });

  it.each(['/socket', '/v1ws', '/healthz/ws', '/a/v1/b'])('the WebSocket endpoint may be at %s', (path) => {
    expect(load({ env: { ROOMCAST_WEBSOCKET_PATH: path } }).websocket.path).toBe(path);
    expect(load({ env: { ROOMCAST_WEBSOCKET_PATH: '/', NODE_ENV: 'production' } }).websocket.path).toBe('/');
  });

  it('may do without limits: no rate, no history', () => {
    const config = load({
      env: {
        ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '0',
        ROOMCAST_LIMITS_COMMAND_BURST: '0',
        ROOMCAST_HISTORY_MESSAGES: '0',
        ROOMCAST_META_TTL_MS: '1000',
        ROOMCAST_ROOMS: '[{"match": "a", "history": false}]',
      },
    });
    expect(config.limits.commandsPerSecond).toBe(0);
  });

  it('are not compared with a value that was refused', () => {
    const env = { ROOMCAST_LIMITS_COMMAND_BURST: 'many', ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '9000' };
    expect(problems({ env })).toEqual([
      'environment ROOMCAST_LIMITS_COMMAND_BURST: expected a whole number from 0 to 100000000, got "many"',
    ]);
  });
});
