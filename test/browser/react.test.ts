/** The programs of docs/react.md in a real page: built for it, in StrictMode, with the React that warns. */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { rolldown } from 'rolldown';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { launchChromium } from '../support/browser.ts';
import { NodeProcess } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';
import { ROOT, snippetsOf } from '../support/snippets.ts';

/** Two components in one room, and a button that mounts and unmounts each; or the application as it is. */
const MAIN = `
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { RoomcastClient } from 'roomcast-client';
import { RoomcastProvider } from 'roomcast-client/react';
import { App, Chat } from './chat.tsx';
import { Typing } from './typing.tsx';

function Panel({ name }: { name: string }) {
  const [isShown, setShown] = useState(true);
  return (
    <section aria-label={name}>
      <button onClick={() => setShown(!isShown)}>{isShown ? 'Hide' : 'Show'}</button>
      {isShown && <Chat room="chat:lobby" name="Bob" />}
    </section>
  );
}

function Panels() {
  const client = () => new RoomcastClient(URL_OF_NODE, { reconnect: { baseMs: 20, capMs: 200 } });
  return (
    <RoomcastProvider create={client}>
      <Panel name="one" />
      <Panel name="two" />
      <Typing room="chat:lobby" />
    </RoomcastProvider>
  );
}

const page = location.hash === '#panels' ? <Panels /> : <App />;
createRoot(document.querySelector('#root')!).render(<StrictMode>{page}</StrictMode>);
`;

let browser: Browser;
let context: BrowserContext;
let node: NodeProcess;
let port: number;
let site: Server;
let folder: string;
/** Everything that a page said on its console, or did not catch. */
const said: string[] = [];

beforeAll(async () => {
  port = await freePort();
  folder = mkdtempSync(join(tmpdir(), 'roomcast-react-page-'));
  const script = await buildApp();
  site = createServer(({ url }, response) => {
    const [type, body] =
      url === '/app.js'
        ? ['text/javascript', script]
        : [
            'text/html',
            '<!doctype html><title>app</title><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/app.js"></script>',
          ];
    response.writeHead(200, { 'Content-Type': `${type}; charset=utf-8` }).end(body);
  });
  await once(site.listen(0, '127.0.0.1'), 'listening');
  [browser] = await Promise.all([launchChromium(), startNode()]);
});

afterAll(async () => {
  site.close();
  await Promise.all([browser.close(), node.kill()]);
  rmSync(folder, { recursive: true });
});

beforeEach(async () => {
  context = await browser.newContext();
});

afterEach(async () => {
  await context.close();
  expect(said.splice(0)).toEqual([]);
});

async function startNode(): Promise<void> {
  const env = { ROOMCAST_ROOMS: '[{"match": "*", "memberEvents": true}]' };
  node = await NodeProcess.start({ flags: ['--port', String(port)], env });
}

/** As the bundler of an application does it, with the package as it is published. */
async function buildApp(): Promise<string> {
  mkdirSync(join(folder, 'node_modules'));
  for (const name of ['react', 'react-dom', 'scheduler']) {
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
  }
  symlinkSync(join(ROOT, 'dist/client-package'), join(folder, 'node_modules/roomcast-client'));
  const url = `ws://127.0.0.1:${port}`;
  const program = (piece: string) =>
    snippetsOf('docs/react.md')
      .find(({ language, code }) => language === 'tsx' && code.includes(piece))!
      .code.replaceAll('ws://localhost:8080', url);
  writeFileSync(join(folder, 'chat.tsx'), program('function Chat('));
  writeFileSync(join(folder, 'typing.tsx'), program('function Typing('));
  writeFileSync(join(folder, 'main.tsx'), MAIN.replace('URL_OF_NODE', JSON.stringify(url)));
  const build = await rolldown({
    input: join(folder, 'main.tsx'),
    cwd: folder,
    platform: 'browser',
    // One React, also for the package, which is a link here.
    resolve: { symlinks: false },
    // It says of each 'use client' that one file for a page has no use for it.
    onLog: (level, log, report) => log.code === 'MODULE_LEVEL_DIRECTIVE' || report(level, log),
    transform: { define: { 'process.env.NODE_ENV': '"development"' }, jsx: { runtime: 'automatic' } },
  });
  const { output } = await build.generate({ format: 'es', codeSplitting: false });
  await build.close();
  return output[0].code;
}

async function open(hash = ''): Promise<Page> {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => said.push(String(error)));
  page.on('dialog', (dialog) => {
    said.push(dialog.message());
    void dialog.dismiss();
  });
  page.on('console', (message) => {
    // React asks developers of every page to install its tools.
    if (!/React DevTools/.test(message.text())) said.push(`${message.type()}: ${message.text()}`);
  });
  await page.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/${hash}`);
  return page;
}

const panel = (page: Page, name: string) => page.getByRole('region', { name });
const sees = (page: ReturnType<typeof panel>, text: string) =>
  page.getByRole('listitem').getByText(text).waitFor();
const shown = (page: ReturnType<typeof panel>) => page.getByRole('listitem').allTextContents();

async function say(where: ReturnType<typeof panel>, text: string): Promise<void> {
  await where.getByLabel('Message').first().fill(text);
  await where.getByRole('button', { name: 'Send' }).click();
}

it('components that share a room join once, come and go, and have everything once over a restart of the node', async () => {
  const app = (await open()).locator('main');
  await app.getByText('Ann', { exact: true }).waitFor();
  const page = await open('#panels');
  const [one, two] = [panel(page, 'one'), panel(page, 'two')];
  // The application, and one member for both panels.
  for (const place of [app, one, two]) await place.getByText('Ann, Bob', { exact: true }).waitFor();

  await say(one, 'first');
  for (const place of [app, one, two]) await sees(place, 'first');
  await one.getByRole('button', { name: 'Hide' }).click();
  await say(app, 'second');
  await sees(two, 'second');
  await one.getByRole('button', { name: 'Show' }).click();
  await sees(one, 'second');
  // Both gone: the room is left, and joined again with what it keeps.
  for (const place of [one, two]) await place.getByRole('button', { name: 'Hide' }).click();
  await page.getByLabel('Message').fill('typing');
  await say(app, 'third');
  for (const place of [one, two]) await place.getByRole('button', { name: 'Show' }).click();
  for (const place of [one, two]) await sees(place, 'third');
  for (const place of [app, one, two]) await place.getByText('Ann, Bob', { exact: true }).waitFor();
  expect(said.splice(0)).toEqual([]);

  await node.kill();
  for (const place of [app, one, two]) await place.getByText('waiting', { exact: true }).waitFor();
  await say(two, 'meanwhile');
  await startNode();
  await say(app, 'after');
  const lines = [/: first$/, /: second$/, /: third$/, /: (meanwhile|after)$/, /: (meanwhile|after)$/];
  for (const place of [app, one, two]) {
    await sees(place, 'meanwhile');
    await sees(place, 'after');
    expect(await shown(place)).toEqual(lines.map((line) => expect.stringMatching(line)));
  }
  // What Chromium itself says of connections that did not open, and of how the client asks for another way in.
  const own = said.filter(
    (text) => !/^error: (WebSocket connection to .* failed|Failed to load resource)/.test(text),
  );
  said.splice(0, said.length, ...own);
});
