import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningNode, startNode } from '../../src/app/start-node.ts';
import { loadConfig } from '../../src/config/load.ts';
import { silentLog } from '../../src/util/log.ts';
import { Authority, hasOpenssl } from '../support/authority.ts';
import { pythonEnvironment } from '../support/python-environment.ts';

const environment = await pythonEnvironment();
if ('missing' in environment) console.warn(`skipped: the Python package needs ${environment.missing}`);

/** Prints what it publishes over `wss:`; the client logs why it has no connection, and goes on trying. */
const PROGRAM = `
import asyncio, ssl, sys
from roomcast import connect

async def main(url, ca):
    trust = ssl.create_default_context(cafile=ca or None)
    async with connect(url, ssl=trust) as client:
        async with client.room("tls") as room:
            await room.publish("over wss")
            async for message in room:
                print(message.data)
                return

try:
    asyncio.run(asyncio.wait_for(main(sys.argv[1], sys.argv[2]), int(sys.argv[3])))
except Exception as error:
    print(type(error).__name__, error)
`;

describe.skipIf('missing' in environment || !hasOpenssl)('the Python client over wss', () => {
  let authority: Authority;
  let node: RunningNode;

  beforeAll(async () => {
    authority = new Authority('an authority');
    const tls = authority.issue('node');
    const loaded = loadConfig({ settings: { host: '127.0.0.1', port: 0, tls }, env: {} });
    if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
    node = await startNode(loaded.config, silentLog);
  });

  afterAll(async () => {
    await node?.stop();
    authority?.dispose();
  });

  async function printed(ca: string, seconds: number): Promise<string> {
    if ('missing' in environment) throw new Error(environment.missing);
    const url = `wss://localhost:${node.port}/ws`;
    const options = { env: environment.env, timeout: 20_000 };
    const argv = ['-c', PROGRAM, url, ca, String(seconds)];
    const { stdout, stderr } = await promisify(execFile)(environment.python, argv, options);
    return stdout + stderr;
  }

  it('publishes and reads where it trusts the authority of the node', async () => {
    expect(await printed(authority.caFile, 10)).toBe('over wss\n');
  });

  it('says so where it does not', async () => {
    expect(await printed('', 2)).toMatch(/^TimeoutError \n.*TLS failed: CERTIFICATE_VERIFY_FAILED/);
  });
});
