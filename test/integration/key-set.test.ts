import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestClient, UpgradeRefused } from '../support/client.ts';
import { ed25519Pair, KeyServer, rsaPair } from '../support/key-server.ts';
import { NodeProcess } from '../support/node-process.ts';
import { SECRET, secretKey, token } from '../support/tokens.ts';
import { waitFor, within } from '../support/wait.ts';

const WARNING = /warning/i;
/** As many as came with a token when each was a line of a library's warning in the log. */
const MANY = 50;

let node: NodeProcess;
const clients: TestClient[] = [];

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await node.kill();
});

async function connect(text?: string): Promise<TestClient> {
  const client = await TestClient.connect(node.wsUrl, text === undefined ? {} : { token: text });
  clients.push(client);
  return client;
}

/** The refusal of an upgrade with this token. An upgrade that succeeds is an error. */
async function refused(text: string): Promise<UpgradeRefused> {
  const outcome: unknown = await connect(text).catch((error: unknown) => error);
  if (!(outcome instanceof UpgradeRefused)) throw new Error('it was not refused', { cause: outcome });
  return outcome;
}

function logged(message: string) {
  return node.log.filter(({ msg }) => msg === message);
}

describe('tokens checked with a key set', () => {
  const pair = ed25519Pair({ kid: 'k1', alg: 'Ed25519', use: 'sig' });
  const signed = (kid = 'k1') => token({ sub: 'ann' }, { alg: 'EdDSA', key: pair.privateKey, kid });
  let server: KeyServer;

  beforeEach(async () => {
    server = await KeyServer.start();
  });

  afterEach(() => server.stop());

  async function start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    node = await NodeProcess.start({ env: { ROOMCAST_AUTH_JWKS_URL: server.url.href, ...env } });
  }

  it('that cannot be had: all are told to try again, few requests are made, and one line says why', async () => {
    server.status = 404;
    await start();
    const failed = await node.logged(({ level }) => level === 'error');
    expect(failed).toMatchObject({
      msg: 'cannot fetch the key set',
      url: server.url.href,
      reason: 'it answered 404 Not Found',
    });
    const askedBefore = server.asked;
    const tokens = await Promise.all(Array.from({ length: MANY }, (_, n) => signed(`invented-${n}`)));
    for (const { status, headers } of await Promise.all(tokens.map(refused))) {
      expect(status).toBe(503);
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    }
    const early = await connect();
    early.sendCommand(['auth', 1, await signed()]);
    expect(await early.closed).toEqual({ code: 1013, reason: 'try again later' });
    expect(early.frames).toEqual([
      ['error', 1, 'unavailable', expect.any(String), { retryAfterMs: expect.any(Number) }],
    ]);
    // One for each wait that may have ended meanwhile.
    expect(server.asked - askedBefore).toBeLessThanOrEqual(3);
    expect(logged('cannot fetch the key set')).toHaveLength(1);

    server.publish(pair);
    const ann = await waitFor(async () => connect(await signed()), { timeoutMs: 30_000, intervalMs: 200 });
    expect(await ann.hello()).toMatchObject({ user: 'ann' });
    expect(logged('key set fetched again')).toHaveLength(1);
    expect(node.lines.join('\n')).not.toContain((await signed()).split('.')[2]);
  });

  it('that can be had are good or bad', async () => {
    server.publish(pair);
    await start();
    const ann = await connect(await signed());
    expect(await ann.hello()).toMatchObject({ user: 'ann' });
    expect((await refused(await signed('k2'))).status).toBe(401);
    const confused = await token({ sub: 'ann' }, { key: secretKey(JSON.stringify(server.body)) });
    expect((await refused(confused)).status).toBe(401);
  });

  it('a refresh that cannot be checked now leaves the connection as it is', async () => {
    server.publish(pair);
    await start();
    const ann = await connect(await signed());
    server.status = 500;
    const [, , code, , details] = await ann.request('auth', await signed('k2'));
    expect(code).toBe('unavailable');
    expect(details).toEqual({ retryAfterMs: expect.any(Number) });
    expect(await ann.ok('ping')).toEqual({});
  });

  it('a token that is still being checked when the time for one is over was presented in time', async () => {
    server.publish(pair);
    server.hold();
    await start({ ROOMCAST_WEBSOCKET_AUTH_TIMEOUT_MS: '100' });
    const [slow, silent] = await Promise.all([connect(), connect()]);
    slow.sendCommand(['auth', 1, await signed()]);
    // Its time began no earlier than that of the other.
    expect(await within(5000, 'the one without a token to be closed', silent.closed)).toMatchObject({
      code: 4501,
    });
    server.release();
    expect(await slow.hello()).toMatchObject({ user: 'ann' });
  });
});

describe('upgrades with a token', () => {
  it('leave no line in the log, and all of them live', async () => {
    node = await NodeProcess.start({ env: { ROOMCAST_AUTH_SECRET: SECRET } });
    const text = await token({ sub: 'ann' });
    const before = node.lines.length;
    const opened = await Promise.all(Array.from({ length: MANY }, () => connect(text)));
    for (const client of opened) expect(await client.ok('ping')).toEqual({});
    expect(node.lines.filter((line) => WARNING.test(line))).toEqual([]);
    expect(node.lines).toHaveLength(before);
  });

  it('leave none for keys of any kind', async () => {
    const server = await KeyServer.start();
    const [rsa, ed25519] = [rsaPair({ kid: 'a' }), ed25519Pair({ kid: 'b' })] as const;
    server.publish(rsa, ed25519);
    node = await NodeProcess.start({ env: { ROOMCAST_AUTH_JWKS_URL: server.url.href } });
    const signed = [
      await token({ sub: 'ann' }, { alg: 'RS256', key: rsa.privateKey, kid: 'a' }),
      await token({ sub: 'ann' }, { alg: 'EdDSA', key: ed25519.privateKey, kid: 'b' }),
    ];
    for (const text of signed) expect(await (await connect(text)).ok('ping')).toEqual({});
    expect(node.lines.filter((line) => WARNING.test(line))).toEqual([]);
    await server.stop();
  });
});
