/** The page of docs/streaming.md: it shows the answer so far and follows it, over reloads, a restarted node and a short history. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { launchChromium } from '../support/browser.ts';
import { NodeProcess } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';
import { RedisServer } from '../support/redis.ts';
import { snippetsOf } from '../support/snippets.ts';

const KEY = 'key-of-the-backend';
let browser: Browser;
let context: BrowserContext;
let redis: RedisServer;
let node: NodeProcess;
let port: number;
let folder: string;
/** Exceptions that a page did not catch. */
const faults: Error[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roomcast-answer-'));
  port = await freePort();
  const { code } = snippetsOf('docs/streaming.md').find(({ language }) => language === 'html')!;
  writeFileSync(join(folder, 'answer.html'), code.replaceAll('localhost:8080', `127.0.0.1:${port}`));
  browser = await launchChromium();
});

afterAll(async () => {
  await browser.close();
  rmSync(folder, { recursive: true });
});

beforeEach(async () => {
  redis = await RedisServer.start();
  context = await browser.newContext();
  await startNode();
});

afterEach(async () => {
  await context.close();
  await node.kill();
  await redis.dispose();
  expect(faults.splice(0)).toEqual([]);
});

async function startNode(): Promise<void> {
  const rooms = [
    { match: 'answer:short', history: { messages: 2 } },
    { match: 'answer:*', publish: 'server' },
  ];
  node = await NodeProcess.start({
    flags: ['--port', String(port), '--redis', redis.url, '--api-key', KEY],
    env: { ROOMCAST_ROOMS: JSON.stringify(rooms) },
  });
}

async function open(answer: string): Promise<Page> {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => faults.push(error));
  await page.goto(`${pathToFileURL(join(folder, 'answer.html')).href}#${answer}`);
  return page;
}

async function publish(answer: string, ...texts: string[]): Promise<void> {
  for (const text of texts) await send(answer, { text });
}

async function send(answer: string, data: { text: string; done?: true }): Promise<void> {
  const response = await fetch(`${node.url}/v1/publish`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ room: `answer:${answer}`, data }),
  });
  expect(response.status).toBe(200);
}

const shows = (page: Page, text: string) => page.getByText(text, { exact: true }).waitFor();

it('an answer is shown so far and followed, over a reload and on another page', async () => {
  const page = await open('1');
  await publish('1', 'A', ' room', ' is');
  await shows(page, 'A room is');
  await page.reload();
  await shows(page, 'A room is');
  await publish('1', ' a');
  const other = await open('1');
  await publish('1', ' group');
  for (const one of [page, other]) await shows(one, 'A room is a group');
  await send('1', { text: 'A room is a group.', done: true });
  for (const one of [page, other]) await shows(one, 'A room is a group.');
  await shows(await open('1'), 'A room is a group.');
}, 60_000);

it('an answer goes on where it was when the node is killed, without a reload', async () => {
  const page = await open('2');
  await publish('2', 'one');
  await shows(page, 'one');
  await node.kill();
  await startNode();
  await publish('2', ' two', ' three');
  await shows(page, 'one two three');
}, 60_000);

it('an answer that begins anew is shown from its beginning', async () => {
  const page = await open('3');
  await publish('3', 'lost');
  await shows(page, 'lost');
  await redis.client.flushall();
  await publish('3', 'again', ' from', ' here');
  await shows(page, 'again from here');
}, 60_000);

it('what the room no longer keeps comes with the last message', async () => {
  await publish('short', 'one', ' two', ' three', ' four');
  const page = await open('short');
  await shows(page, 'three four');
  await send('short', { text: 'one two three four', done: true });
  await shows(page, 'one two three four');
}, 60_000);
