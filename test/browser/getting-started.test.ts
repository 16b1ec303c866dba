/** The page of docs/getting-started.md, saved as a file and opened as the text beside it says. */
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

let browser: Browser;
let context: BrowserContext;
let redis: RedisServer;
let node: NodeProcess;
let port: number;
let folder: string;
/** Exceptions that a page did not catch. */
const faults: Error[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roomcast-page-'));
  port = await freePort();
  const { code } = snippetsOf('docs/getting-started.md').find(({ language }) => language === 'html')!;
  writeFileSync(join(folder, 'chat.html'), code.replaceAll('localhost:8080', `127.0.0.1:${port}`));
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
  node = await NodeProcess.start({ flags: ['--port', String(port), '--redis', redis.url] });
}

async function openTab(): Promise<Page> {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => faults.push(error));
  await page.goto(pathToFileURL(join(folder, 'chat.html')).href);
  return page;
}

async function say(page: Page, text: string): Promise<void> {
  await page.locator('input').fill(text);
  await page.locator('input').press('Enter');
}

const sees = (page: Page, text: string) => page.locator('li').getByText(text).waitFor();

/** What it shows, without the senders. */
async function shown(page: Page): Promise<string[]> {
  const items = await page.locator('li').allTextContents();
  return items.map((item) => item.replace(/^.*: /, ''));
}

it('two tabs talk, and one that is reloaded gets what the room keeps', async () => {
  const [ann, bob] = [await openTab(), await openTab()];
  await say(ann, 'one');
  await sees(bob, 'one');
  await say(bob, 'two');
  await sees(ann, 'two');
  await bob.reload();
  await sees(bob, 'two');
  expect([await shown(ann), await shown(bob)]).toEqual([
    ['one', 'two'],
    ['one', 'two'],
  ]);
}, 60_000);

it('a message that is written while the node is away is stored once when it is back', async () => {
  const [ann, bob] = [await openTab(), await openTab()];
  await say(ann, 'before');
  await sees(bob, 'before');
  await node.kill();
  await say(ann, 'meanwhile');
  await startNode();
  await sees(bob, 'meanwhile');
  await say(bob, 'after');
  await sees(ann, 'after');
  for (const page of [ann, bob]) expect(await shown(page)).toEqual(['before', 'meanwhile', 'after']);
}, 60_000);

it('a room that begins anew is followed from its beginning', async () => {
  const page = await openTab();
  await say(page, 'before');
  await sees(page, 'before');
  await redis.client.flushall();
  await say(page, 'after');
  await sees(page, 'after');
  await node.kill();
  await startNode();
  await say(page, 'later');
  await sees(page, 'later');
  expect(await shown(page)).toEqual(['before', 'after', 'later']);
}, 60_000);
