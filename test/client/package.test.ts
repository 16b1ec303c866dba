/** What is published as `roomcast-client`, from `dist/client-package`, and the file that pages load from a node. */
import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NodeProcess } from '../support/node-process.ts';
import { request } from '../support/raw-http.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PACKAGE = join(ROOT, 'dist/client-package');
const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

/** An application that has installed the package, and nothing else. */
const app = mkdtempSync(join(tmpdir(), 'roomcast-client-'));
const installed = join(app, 'node_modules');
let node: NodeProcess;

beforeAll(async () => {
  mkdirSync(installed);
  cpSync(PACKAGE, join(installed, 'roomcast-client'), { recursive: true });
  writeFileSync(join(app, 'package.json'), JSON.stringify({ type: 'module' }));
  node = await NodeProcess.start();
});

afterAll(async () => {
  rmSync(app, { recursive: true });
  await node.kill();
});

function files(): string[] {
  return readdirSync(PACKAGE, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /\.(js|d\.ts)$/.test(file),
  );
}

async function runInApp(source: string): Promise<string> {
  writeFileSync(join(app, 'main.js'), source);
  return (await run(process.execPath, ['main.js'], { cwd: app, timeout: 20_000 })).stdout;
}

const TALK = (entry: string) => `
  import { RoomcastClient } from '${entry}';
  const client = new RoomcastClient('${node.wsUrl}', { reconnect: { baseMs: 60_000 } });
  client.onStatus((status) => {
    if (status.state !== 'waiting') return;
    console.log(status.reason);
    client.close();
  });
  const room = client.room('r');
  room.on('message', ({ data }) => {
    console.log(data);
    client.close();
  });
  room.publish('hello from ${entry}').catch(() => undefined);
`;

describe('the package', () => {
  it('has the version, license and engines of the server', () => {
    const [mine, servers] = [readJson(join(PACKAGE, 'package.json')), readJson(join(ROOT, 'package.json'))];
    for (const field of ['version', 'license', 'engines']) expect(mine[field]).toEqual(servers[field]);
  });

  it('has no dependency, and imports nothing but its own files, for React react, and in Node ws', () => {
    expect(readJson(join(PACKAGE, 'package.json')).dependencies).toBeUndefined();
    const imports = files().flatMap((file) => {
      const source = readFileSync(join(PACKAGE, file), 'utf8').replace(/^\s*\*.*$/gm, '');
      return [...source.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)].map((found) => [
        file,
        found[1]!,
      ]);
    });
    const foreign = imports.filter(([, from]) => !from!.startsWith('.'));
    const [react, others] = [true, false].map((inReact) =>
      foreign.filter(([file]) => file!.startsWith('client/react/') === inReact),
    );
    expect(others).toEqual([['client/find-ws.js', 'ws']]);
    expect([...new Set(react!.map(([, from]) => from))]).toEqual(['react']);
  });

  it('leaves the server out: of its files, only the contract and small tools are in it', () => {
    const folders = new Set(files().map((file) => file.split(/[\\/]/)[0]));
    expect([...folders].sort()).toEqual(['client', 'protocol', 'util']);
    expect(
      files().filter((file) => /server|node-|redis|uws/.test(file) && !/server-frames/.test(file)),
    ).toEqual([]);
  });

  it('says what to do in a Node without a WebSocket and without ws', async () => {
    rmSync(join(installed, 'ws'), { force: true });
    if (globalThis.WebSocket !== undefined) return;
    expect(await runInApp(TALK('roomcast-client'))).toContain('run "npm install ws"');
  });

  it.each(['roomcast-client', 'roomcast-client/json'])('runs as %s in Node', async (entry) => {
    rmSync(join(installed, 'ws'), { force: true });
    symlinkSync(join(ROOT, 'node_modules/ws'), join(installed, 'ws'));
    expect(await runInApp(TALK(entry))).toBe(`hello from ${entry}\n`);
  });

  it('has hooks that a server renders', async () => {
    for (const name of ['react', 'react-dom']) {
      symlinkSync(join(ROOT, 'node_modules', name), join(installed, name));
    }
    const source = `
      import { createElement } from 'react';
      import { renderToString } from 'react-dom/server';
      import { RoomcastClient } from 'roomcast-client';
      import { RoomcastProvider, useMessages, useStatus } from 'roomcast-client/react';
      const Show = () => useStatus().state + useMessages('r', { last: 5 }).length;
      const create = () => new RoomcastClient('${node.wsUrl}');
      console.log(renderToString(createElement(RoomcastProvider, { create }, createElement(Show))));
    `;
    expect(await runInApp(source)).toBe('idle0\n');
  });

  it('says to bundlers and servers of components that the hooks run in the client', () => {
    expect(readFileSync(join(PACKAGE, 'client/react/index.js'), 'utf8')).toMatch(/^['"]use client['"];/);
  });

  it('lets a program end that is not closed by anything else', async () => {
    const source = `
      import { keepIn } from 'roomcast-client/storage';
      import { RoomcastClient } from 'roomcast-client';
      const client = new RoomcastClient('${node.wsUrl}', { storage: keepIn({ load: () => null, save: () => undefined }) });
      console.log((await client.publish('r', 1)).offset > 0);
      client.close();
    `;
    expect(await runInApp(source)).toBe('true\n');
  });

  it.each(['nodenext', 'bundler'])(
    'has types that stand alone (moduleResolution %s)',
    async (moduleResolution) => {
      writeFileSync(
        join(app, 'types.ts'),
        `import { RoomcastClient, type ClientStatus, type Message } from 'roomcast-client';
       import { RoomcastClient as Json } from 'roomcast-client/json';
       import { webStorage } from 'roomcast-client/storage';
       const client = new RoomcastClient('ws://a.test', { storage: webStorage('k') });
       const room = client.room<{ text: string }>('r', { last: 5 });
       room.on('message', (message: Message<{ text: string }>) => message.data.text.length);
       const status: ClientStatus = new Json(['ws://a.test']).status;
       export { status };`,
      );
      const flags = ['--strict', '--noEmit', '--target', 'es2022', '--lib', 'es2022,dom', '--types', ''];
      const module = moduleResolution === 'bundler' ? 'esnext' : 'nodenext';
      const tsc = join(ROOT, 'node_modules/.bin/tsc');
      await run(tsc, [...flags, '--module', module, '--moduleResolution', moduleResolution, 'types.ts'], {
        cwd: app,
      });
    },
  );
});

describe('the file for pages', () => {
  it.each([
    ['client.js', 14],
    ['client-json.js', 10.28],
  ])('%s is at most %s kB, compressed', (file, kilobytes) => {
    const bytes = gzipSync(readFileSync(join(ROOT, 'dist', file)), { level: 9 }).length;
    console.info(`${file}: ${bytes} bytes`);
    expect(bytes).toBeLessThanOrEqual(kilobytes * 1000);
  });

  it.each(['client.js', 'client-json.js'])('%s is served by a node, with an ETag', async (file) => {
    const answer = await request(node.url, { path: `/${file}` });
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'content-type': 'text/javascript; charset=utf-8', 'access-control-allow-origin': '*' },
    });
    const body = Buffer.from(await (await fetch(`${node.url}/${file}`)).arrayBuffer());
    expect(body.equals(readFileSync(join(ROOT, 'dist', file)))).toBe(true);
    const { etag } = answer.headers;
    const again = await request(node.url, {
      path: `/${file}`,
      headers: [`If-None-Match: "other", W/${etag}`],
    });
    expect([again.status, again.body, again.headers.etag]).toEqual([304, '', etag]);
    const head = await request(node.url, { method: 'HEAD', path: `/${file}` });
    expect([head.status, head.body, head.headers.etag]).toEqual([200, '', etag]);
  });
});
