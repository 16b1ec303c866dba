import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tokenAuthenticator } from '../../src/auth/authenticator.ts';
import { NodeProcess } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';
import { programPath } from '../support/program.ts';
import { pythonEnvironment } from '../support/python-environment.ts';
import { untilReadyz } from '../support/readyz.ts';
import { ROOT, type Snippet, snippetsOf } from '../support/snippets.ts';
import { waitFor } from '../support/wait.ts';

const API_KEY = 'a-key-of-the-documentation';
const MAIN = programPath();

const PAGES = readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`);
const FILES = [
  ...['README.md', ...PAGES, 'src/README.md', 'src/index.ts', 'src/protocol/PROTOCOL.md'],
  ...['deploy/README.md', 'deploy/RUNBOOK.md', 'bench/README.md', 'test/README.md'],
  ...['test/protocol/vectors/README.md', 'python/README.md', 'CONTRIBUTING.md'],
  ...['test/simulation/README.md', 'test/simulation/planted/README.md'],
];

const snippets = FILES.flatMap(snippetsOf);

/** How a block is run. */
type Runner = (snippet: Snippet) => Promise<void>;

let node: NodeProcess;
/** One as it comes: without a key. */
let fresh: NodeProcess;
let scratch: string;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'roomcast-docs-'));
  writeFileSync(join(scratch, 'package.json'), '{"type": "module"}');
  // What somebody would have installed who follows the docs.
  mkdirSync(join(scratch, 'node_modules'));
  symlinkSync(ROOT, join(scratch, 'node_modules/roomcast'));
  symlinkSync(join(ROOT, 'dist/client-package'), join(scratch, 'node_modules/roomcast-client'));
  for (const name of ['ws', 'jose', '@types']) {
    symlinkSync(join(ROOT, 'node_modules', name), join(scratch, 'node_modules', name));
  }
  fresh = await NodeProcess.start();
  node = await NodeProcess.start({
    flags: ['--api-key', API_KEY],
    env: { ROOMCAST_ROOMS: '[{"match": "orders:*", "acks": true}]' },
  });
});

/** The first that asks for it installs packages. */
beforeAll(() => pythonEnvironment(), 180_000);

afterAll(async () => {
  await Promise.all([node.stop(), fresh.stop()]);
  rmSync(scratch, { recursive: true });
});

/** The text with the addresses of the docs replaced by those of the node at hand. */
function here(code: string): string {
  const host = new URL(node.url).host;
  return code.replaceAll(/(localhost|node\d?):8080/g, host).replaceAll('<API key>', API_KEY);
}

/** Resolves when a program has printed all of these, and ends it. One that ends before is an error. */
async function prints(child: ChildProcess, ...expected: readonly RegExp[]): Promise<void> {
  let printed = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (printed += chunk));
  try {
    await waitFor(
      () => {
        if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${printed}`);
        return expected.every((pattern) => pattern.test(printed));
      },
      { timeoutMs: 15_000, for: expected.join(' and ') },
    );
  } finally {
    child.kill();
  }
}

/** It publishes an answer, which ends with the whole of it. */
const runAnswer: Runner = async ({ code }) => {
  const file = join(scratch, 'answer.mjs');
  writeFileSync(file, here(code));
  await promisify(execFile)(process.execPath, [file]);
  const headers = { Authorization: `Bearer ${API_KEY}` };
  const answer = await fetch(`${node.url}/v1/rooms/answer:1/history`, { headers });
  const { messages } = (await answer.json()) as {
    messages: [unknown, unknown, number, unknown, unknown, object][];
  };
  const said = messages.map(([, , , , , data]) => data as { text: string; done?: boolean });
  const whole = said.pop()!;
  expect(whole).toEqual({ text: said.map(({ text }) => text).join(''), done: true });
};

/** A program with the client library, which prints what it publishes. */
const runClient: Runner = async ({ code, language }) => {
  writeFileSync(join(scratch, `client.${language}`), here(code));
  const flags = ['--module', 'nodenext', '--target', 'es2022', '--types', 'node', 'client.ts'];
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  if (language === 'ts') await promisify(execFile)(tsc, flags, { cwd: scratch });
  await prints(spawn(process.execPath, [join(scratch, 'client.js')]), /hello/);
};

/** It prints a token that a node with the same secret accepts, for what the text beside it says. */
const issueToken: Runner = async ({ code }) => {
  const secret = 'a secret of the documentation, 32 bytes';
  const file = join(scratch, 'token.mjs');
  writeFileSync(file, code);
  const env = { ...process.env, ROOMCAST_AUTH_SECRET: secret };
  const { stdout } = await promisify(execFile)(process.execPath, [file], { env });
  const options = { publicKeyFile: null, jwksUrl: null, issuer: null, audience: null, algorithms: [] };
  const identity = await tokenAuthenticator({ secret, ...options })!.authenticate(stdout.trim());
  expect(identity).toMatchObject({ user: 'ann', info: { name: 'Ann' } });
  expect(['chat:lobby', 'news'].map((room) => identity.permissions.allows('publish', room))).toEqual([
    true,
    false,
  ]);
};

/** A file, or the value of a variable, that a node would start with. */
function configures(set: (code: string) => { file?: string; env?: Record<string, string> }): Runner {
  return async ({ code }) => {
    const { file, env = {} } = set(code);
    if (file !== undefined) writeFileSync(join(scratch, 'snippet.yaml'), file);
    const flags = file === undefined ? [] : ['--config', join(scratch, 'snippet.yaml')];
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN, 'config', 'check', ...flags], {
      env,
    });
    expect(stdout).toBe('configuration is valid\n');
  };
}

const exportedRules = (code: string) => ({
  env: { ROOMCAST_ROOMS: /ROOMCAST_ROOMS='(.*)'/.exec(code)![1]! },
});

/** A test of somebody's own: it passes, and the process ends by itself. */
const runTest: Runner = async ({ code }) => {
  const file = join(scratch, 'room.test.mjs');
  writeFileSync(file, code);
  const { stdout } = await promisify(execFile)(process.execPath, ['--test-reporter=tap', file]);
  expect(stdout).toMatch(/^# pass 1$/m);
};

/** With the package of `python/`. `expected`: what a reader sees. */
function runPython(...expected: readonly RegExp[]): Runner {
  return async ({ code }) => {
    const found = await pythonEnvironment();
    if ('missing' in found) return console.warn(`skipped: there is no ${found.missing}`);
    const file = join(scratch, 'client.py');
    writeFileSync(file, here(code));
    await prints(spawn(found.python, ['-u', file], { env: found.env }), ...expected);
  };
}

/** A piece of a program: it is compiled, no more. */
const compilePython: Runner = async ({ code }) => {
  const found = await pythonEnvironment();
  if ('missing' in found) return console.warn(`skipped: there is no ${found.missing}`);
  const compile = 'import ast, sys; compile(sys.argv[1], "snippet", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)';
  await promisify(execFile)(found.python, ['-c', compile, code], { env: found.env });
};

/** Compiled as a program that has Roomcast as a package, then run. */
const runTypeScript: Runner = async ({ code }) => {
  writeFileSync(join(scratch, 'main.ts'), code.replace("'8080'", "'0'"));
  const options = { module: 'nodenext', target: 'es2023', strict: true, types: ['node'] };
  writeFileSync(
    join(scratch, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: options, files: ['main.ts'] }),
  );
  await promisify(execFile)(join(ROOT, 'node_modules/.bin/tsc'), ['-p', scratch]);
  const { stdout } = await promisify(execFile)(process.execPath, [join(scratch, 'main.js')]);
  expect(stdout).toMatch(/^listening on http:/m);
};

/** Its answer has the members that the comment below it shows. */
const runCurl: Runner = async ({ code }) => {
  const shown = /^# (\{.*\})$/m.exec(code)![1]!;
  // Without a key: as on a node that was just started. Several pages show the same idempotency key: the first result is to be new in each.
  const asked = code.includes('<API key>')
    ? here(code)
    : code.replace('localhost:8080', new URL(fresh.url).host);
  const command = asked.replace('curl', 'curl -sS').replace('order-17-paid', randomUUID());
  const { stdout } = await promisify(execFile)('bash', ['-c', command]);
  expect(Object.keys(JSON.parse(stdout))).toEqual(Object.keys(JSON.parse(shown)));
};

/** A stream, of which the first event is enough. */
const runStream: Runner = async ({ code }) => {
  const command = code.replace('localhost:8080', new URL(fresh.url).host).replace('curl', 'exec curl -sS');
  await prints(spawn('bash', ['-c', command]), /^event: joined\ndata: \["joined","chat:lobby",/m);
};

/** It reads two rooms. */
const runFetch: Runner = async ({ code }) => {
  const file = join(scratch, 'events.mjs');
  writeFileSync(file, code.replace('localhost:8080', new URL(fresh.url).host));
  await prints(spawn(process.execPath, [file]), /'joined',\s+'chat:lobby'/, /'joined',\s+'news'/);
};

/** All of its servers on ports of this run. Redis is started where the block starts it, nodes one after the other. */
const runCluster: Runner = async ({ code }) => {
  const ports = new Map<string, number>();
  for (const port of ['6379', '8081', '8082', '8083']) ports.set(port, await freePort());
  let script = code
    .replace('npm run build\n', '')
    .replaceAll('node dist/main.js', `'${process.execPath}' '${MAIN}'`);
  for (const [port, free] of ports) script = script.replaceAll(port, String(free));
  const nothingSaved = script.replace('redis-server', `redis-server --save '' --dir '${scratch}'`);
  // A group of its own, which ends with it.
  const child = spawn('bash', ['-c', `${nothingSaved}wait`], { detached: true, stdio: 'ignore' });
  try {
    for (const port of ['8081', '8082', '8083']) {
      const url = `http://127.0.0.1:${ports.get(port)}`;
      await untilReadyz(url, 200, { timeoutMs: 20_000, intervalMs: 100 });
    }
  } finally {
    process.kill(-child.pid!, 'SIGTERM');
  }
};

/** The lines that call `roomcast`, from a checkout, with what is to be added to each. */
function runRoomcast(expected: RegExp, added = ''): Runner {
  return async ({ code }) => {
    const lines = here(code)
      .split('\n')
      .filter((line) => line.startsWith('roomcast '))
      .map((line) => line.replace('roomcast', `'${process.execPath}' '${MAIN}'`) + added)
      .map((line) => line.replaceAll('roomcast.yaml', join(ROOT, 'deploy/roomcast.example.yaml')));
    expect(lines).not.toEqual([]);
    for (const line of lines) {
      // Whether the node of this test is sound, alone and named twice, is not the question here.
      const { stdout } = await promisify(execFile)('bash', ['-c', `${line} || true`]);
      expect(stdout).toMatch(expected);
    }
  };
}

/** As in a shell with the program on its path, in a folder of its own. */
function runShell(expected: RegExp): Runner {
  return async ({ code }) => {
    const prologue = `set -eo pipefail; roomcast() { '${process.execPath}' '${MAIN}' "$@"; }\n`;
    const { PATH = '' } = process.env;
    const { stdout } = await promisify(execFile)('bash', ['-c', prologue + code], {
      cwd: scratch,
      // Other blocks count what they store on the other node.
      env: { PATH, ROOMCAST_URL: fresh.url },
    });
    expect(stdout).toMatch(expected);
  };
}

/** Every program that it calls as `npm run` is one of the package. */
const callsScripts: Runner = async ({ code }) => {
  const { scripts } = JSON.parse(execFileSync('npm', ['pkg', 'get', '--prefix', ROOT], { encoding: 'utf8' }));
  for (const [, name] of code.matchAll(/npm run (\S+)/g)) expect(Object.keys(scripts)).toContain(name);
};

/** What only one block of its file holds. */
type Piece = string | RegExp;

/** By file and a piece of the code. Each block is in this list or in the next. */
const RUN: readonly (readonly [file: string, piece: Piece, run: Runner])[] = [
  ['README.md', 'new RoomcastClient(', runClient],
  ['docs/client.md', 'await room.publish(', runClient],
  ['README.md', '/v1/publish', runCurl],
  ['docs/getting-started.md', 'hello from Node', runClient],
  ['README.md', '| roomcast pub', runShell(/"data":"two"\}\n$/)],
  ['docs/getting-started.md', 'from roomcast', runPython(/hello from Python/)],
  ['docs/getting-started.md', '/v1/publish', runCurl],
  ['docs/http-api.md', 'order-17-paid', runCurl],
  ['docs/http-api.md', '"ephemeral"', runCurl],
  ['docs/http-api.md', '/v1/publish/batch', runCurl],
  ['docs/http-api.md', '/history?', runCurl],
  ['docs/http-api.md', '/acks?from=', runCurl],
  ['docs/http-api.md', '/disconnect', runCurl],
  ['docs/http-api.md', '/remove', runCurl],
  ['docs/http-api.md', '/add', runCurl],
  ['docs/http-api.md', 'DELETE localhost', runCurl],
  ['docs/http-api.md', '"user": "eve"', runCurl],
  ['docs/http-api.md', '"jti": "login-17"', runCurl],
  ['docs/http-api.md', '"issuedBefore": ', runCurl],
  ['docs/http-api.md', 'revocations?limit=', runCurl],
  ['docs/http-api.md', 'revocations?jti=', runCurl],
  ['docs/http-api.md', '/v1/users/ann ', runCurl],
  ['docs/server-sent-events.md', 'curl -N', runStream],
  ['docs/server-sent-events.md', '/messages -H', runCurl],
  ['docs/server-sent-events.md', 'readOnce', runFetch],
  ['docs/authentication.md', 'SignJWT', issueToken],
  ['docs/authentication.md', 'openssl genpkey', runShell(/"accepted": true/)],
  ['docs/streaming.md', 'answer.mjs', runAnswer],
  ['docs/streaming.md', 'rooms:\n', configures((file) => ({ file }))],
  ['docs/testing.md', 'roomcast/testing', runTest],
  ['docs/command-line.md', 'hello from a shell', runShell(/"data":"hello from a shell"\}\n$/)],
  ['docs/command-line.md', 'order-17', runShell(/^$/)],
  ['docs/command-line.md', 'grep -c', runShell(/^[1-9]\d*\n$/)],
  ['docs/command-line.md', "'%o %t %s %d'", runShell(/^\d+ \S+Z \S+ hello/)],
  ['docs/command-line.md', 'orders.position', runShell(/^$/)],
  ['docs/command-line.md', 'roomcast members', runShell(/^$/)],
  ['docs/command-line.md', '--all', runShell(/"room":"orders".*"data":"two"\}\n$/s)],
  ['docs/command-line.md', 'token mint', runShell(/"sub": "ann".*"accepted": true/s)],
  ['docs/command-line.md', 'apikey hash', runShell(/^key: rck_.*sha256: [0-9a-f]{64}.*\n[0-9a-f]{64}\n$/ms)],
  ['docs/http-api.md', 'apikey create', runShell(/^key: rck_.*name: billing.*sha256: [0-9a-f]{64}/ms)],
  ['docs/http-api.md', 'apiKeys:\n', configures((file) => ({ file }))],
  ['docs/command-line.md', 'completion bash', runShell(/^$/)],
  ['docs/configuration.md', 'rooms:\n', configures((file) => ({ file }))],
  ['docs/limits.md', 'trustProxy: loopback', configures((file) => ({ file }))],
  ['docs/configuration.md', 'export ROOMCAST_ROOMS', configures(exportedRules)],
  ['docs/operations.md', 'redis-server --port', runCluster],
  [
    'docs/operations.md',
    'roomcast bench ws:',
    runRoomcast(/lost 0, repeated 0/, ' --members 5 --rate 100 --seconds 1 --warm-up 0'),
  ],
  ['docs/operations.md', '--node http://node1', runRoomcast(/^ok +node .*alive and ready/m)],
  ['src/index.ts', 'startNode', runTypeScript],
  ['python/README.md', 'async for message in room', runPython(/^\d+ \S+ \{'text': 'hello from Python'\}$/m)],
  ['python/README.md', 'import publish', runPython(/^stored at 1$/m)],
  [
    'python/README.md',
    'room("lobby", last=50).events()',
    runPython(/^joined False \d/m, /hello from Python/),
  ],
  ['python/README.md', 'room.member_lists()', runPython(/^\d+ here$/m, /'name': 'Ann'/)],
  ['python/README.md', 'get_token=get_token', compilePython],
  ['bench/README.md', 'npm run bench', callsScripts],
];

const ENGINE = 'it needs a container engine: npm run test:compose';
const PRINTED = 'it is what a command prints';
const COMPILED = 'client/docs.test.ts compiles it';
const RECIPES: readonly Piece[] = [
  ...[
    'export const client',
    'rooms:\n',
    'older(offset',
    'onInput',
    'setPresence',
    'room.signal({ x: 10',
    'isSending',
  ],
  ...[
    'inbox.ack',
    '"$user:ann"',
    'await work(',
    'answer +',
    'from curl',
    'from PHP',
    'urlopen',
    'from roomcast',
  ],
];
const REACT = 'client/react-docs.test.ts compiles it, and runs the test and what it tests';
const ASKED = 'unit/permissions-recipes.test.ts asks authorize with it';
const NODE_START = 'it installs the packages anew; start-stop.test.ts starts nodes';

/** Why these do not run here. Their syntax is checked all the same. */
const EXCUSED: readonly (readonly [file: string, piece: Piece, reason: string])[] = [
  ['README.md', 'npm ci && npm start', NODE_START],
  ['README.md', 'npm ci && npm test', 'it would run this test'],
  ['test/simulation/README.md', 'simulate -- --seeds 100', 'simulation/simulation.test.ts runs seeds'],
  ['test/simulation/README.md', 'simulate -- --campaign', 'it takes a night; simulation.test.ts runs seeds'],
  [
    'test/simulation/planted/README.md',
    'npm run simulate',
    'it takes an hour; planted.test.ts holds the list',
  ],
  ['README.md', /^docker compose up\n$/, ENGINE],
  ['README.md', 'docker compose down', ENGINE],
  ['docs/getting-started.md', 'npm ci && npm start', NODE_START],
  ['docs/getting-started.md', '<!doctype html>', 'browser/getting-started.test.ts opens it in Chromium'],
  ['docs/getting-started.md', 'npm install roomcast-client', 'client/package.test.ts installs the package'],
  ['docs/getting-started.md', 'resume: true', COMPILED],
  ['docs/streaming.md', '<!doctype html>', 'browser/streaming.test.ts opens it in Chromium'],
  ['docs/server-sent-events.md', /^retry: /, PRINTED],
  ['docs/server-sent-events.md', '<!doctype html>', 'browser/event-source.test.ts opens it in Chromium'],
  ['docs/client.md', 'npm install roomcast-client', 'client/package.test.ts installs the package'],
  ['docs/client.md', '/client.js', 'browser/client.test.ts opens a page of this kind in Chromium'],
  ['docs/client.md', 'room.leave()', COMPILED],
  ['docs/client.md', 'for await', COMPILED],
  ['docs/client.md', 'order-17', COMPILED],
  ['docs/client.md', 'isTyping', COMPILED],
  ['docs/client.md', 'setPresence', COMPILED],
  ['docs/client.md', 'getToken', COMPILED],
  ['docs/client.md', 'webStorage', COMPILED],
  ['docs/react.md', 'function Chat(', REACT],
  ['docs/react.md', 'npm install', 'client/react-docs.test.ts runs with these packages'],
  ['docs/react.md', 'function Typing(', REACT],
  ['docs/react.md', 'function Live(', REACT],
  ['docs/react.md', 'startTestBroker', REACT],
  ...RECIPES.map((piece) => ['docs/recipes.md', piece, 'recipes.test.ts runs it'] as const),
  ['docs/permissions.md', 'forbidden:', ASKED],
  ['docs/permissions.md', 'inbox:ann', ASKED],
  ['docs/permissions.md', 'defaultDeny: true', ASKED],
  ['docs/permissions.md', 'match: "news:*"', ASKED],
  ['docs/permissions.md', 'match: "private:*"', ASKED],
  ['docs/permissions.md', 'private:7', ASKED],
  ['docs/permissions.md', 'match: "stage:*"\n', ASKED],
  ['docs/permissions.md', '"mod"', ASKED],
  ['docs/permissions.md', 'match: "prices:*"', ASKED],
  ['docs/command-line.md', '{"room"', PRINTED],
  ['docs/command-line.md', 'line 813', PRINTED],
  ['docs/command-line.md', 'gave up after 10 s', PRINTED],
  ['docs/command-line.md', 'ROOMCAST_ADMIN_KEY', 'unit/cli-revoke.test.ts runs these commands'],
  ['docs/http-api.md', 'export ROOMCAST_API_KEYS', 'it prints nothing'],
  ['docs/authentication.md', 'export ROOMCAST_AUTH_SECRET', NODE_START],
  ['docs/configuration.md', 'kill -HUP', 'integration/tls.test.ts sends a node SIGHUP'],
  ['docs/operations.md', '.env && docker', ENGINE],
  ['docs/redis.md', 'sentinel monitor', 'conformance/redis-sentinel.test.ts makes the same of its servers'],
  ['docs/redis.md', '--cluster create', 'support/redis-cluster.ts makes the same of its servers'],
  ['docs/redis.md', '--cluster add-node', 'chaos/cluster-moves.test.ts adds a master under load'],
  ['docs/redis.md', '--cluster del-node', 'chaos/cluster-moves.test.ts moves slots under load'],
  ['docs/redis.md', 'promotions_total', 'chaos/cluster-moves.test.ts hands over under load'],
  [
    'docs/operations.md',
    'rooms.example.com',
    'it needs a host of yours; tls.test.ts and cli-client.test.ts run what it calls',
  ],
  ['docs/limits.md', 'PUBLISHES_PER_SECOND=1', 'integration/limits.test.ts reaches the limit of a room'],
  ['docs/limits.md', '"retryAfterMs":748', PRINTED],
  ['docs/limits.md', 'option forwardfor', 'deploy/haproxy.test.ts runs HAProxy before nodes'],
  ['docs/operations.md', 'checked      lost 0', PRINTED],
  ['docs/operations.md', 'ok       redis server', PRINTED],
  ['docs/operations.md', 'panels-check.mjs', 'it needs a Prometheus: panels.test.ts runs the script'],
  [
    'docs/operations.md',
    'npm install uWebSockets.js',
    'it would replace the package that the tests run with',
  ],
  ['deploy/README.md', 'docker restart', ENGINE],
  ['deploy/README.md', 'docker compose build', ENGINE],
  ['deploy/README.md', ' +publish ', 'conformance/redis-start.test.ts runs a node with these rights'],
  ['deploy/README.md', ' +spublish ', 'deploy/redis-cluster.test.ts runs a node with these rights'],
  [
    'deploy/README.md',
    'kubectl create namespace',
    'it needs a Kubernetes cluster: kubernetes.test.ts reads the manifests',
  ],
  [
    'deploy/README.md',
    'deploy/kubernetes/redis-cluster',
    'it needs a Kubernetes cluster: redis-cluster.test.ts reads the manifests',
  ],
  ['docs/redis.md', 'redis://redis-1:6379', 'chaos/cluster-moves.test.ts runs nodes with such a list'],
  ['docs/redis.md', 'PASSWORD@mymaster', 'conformance/redis-sentinel.test.ts runs nodes with such a list'],
  ['docs/redis.md', '--redis-cluster', 'it needs a managed cluster; unit/config-load.test.ts reads the flag'],
  ['deploy/RUNBOOK.md', 'docker compose ps', ENGINE],
  ['python/README.md', /^pip install .\/python\n$/, 'python/package.test.ts installs it'],
  ['python/README.md', '-m unittest', 'python/package.test.ts runs these'],
  [
    'CONTRIBUTING.md',
    'core.hooksPath',
    'it sets up a checkout; contributing-docs.test.ts looks up what it names',
  ],
  [
    'CONTRIBUTING.md',
    'npx vitest run',
    'it would run tests in a test; contributing-docs.test.ts looks them up',
  ],
  ['CONTRIBUTING.md', '.ci/release.mjs', 'it would release; kit.test.ts runs the script'],
];

function isOf({ file, code }: Snippet): (entry: readonly [string, Piece, unknown]) => boolean {
  return ([of, piece]) =>
    of === file && (typeof piece === 'string' ? code.includes(piece) : piece.test(code));
}

describe('the snippets of the documentation', () => {
  it.each(snippets)('are run, or have a reason not to be: $file:$line', (snippet) => {
    expect([...RUN, ...EXCUSED].filter(isOf(snippet))).toHaveLength(1);
  });

  it('are all that the lists speak of', () => {
    for (const entry of [...RUN, ...EXCUSED]) {
      expect(snippets.filter((snippet) => isOf(snippet)(entry))).toHaveLength(1);
    }
  });

  it.each(snippets.filter(({ language }) => language === 'sh'))('$file:$line is good shell', ({ code }) => {
    execFileSync('bash', ['-n', '-c', code.replaceAll(/<[^<>\n]+>/g, 'x')], { stdio: 'pipe' });
  });

  it.each(RUN)(
    'of %s run: %s',
    async (file, piece, run) => {
      await run(snippets.find((snippet) => isOf(snippet)([file, piece, null]))!);
    },
    60_000,
  );

  it('are in every document that has any', () => {
    const under = ['src', 'docs', 'deploy', 'bench', 'test', 'python'].flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) =>
        join(folder, path),
      ),
    );
    const documents = [...readdirSync(ROOT), ...under].filter(
      (path) => path.endsWith('.md') && !path.includes('node_modules'),
    );
    const withSnippets = documents.filter((path) => snippetsOf(path).length > 0);
    expect(FILES).toEqual(expect.arrayContaining(withSnippets));
  });
});
