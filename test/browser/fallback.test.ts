/** A page behind a proxy that refuses WebSockets: it reads event streams and publishes by requests. */
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { launchChromium } from '../support/browser.ts';
import { ChatTab } from '../support/chat-tab.ts';
import { NoUpgradeProxy } from '../support/no-upgrade-proxy.ts';
import { NodeProcess } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';
import { RedisServer } from '../support/redis.ts';

let browser: Browser;
let context: BrowserContext;
let redis: RedisServer;
let node: NodeProcess;
let proxy: NoUpgradeProxy;
let port: number;
/** What a page did not catch, or was not allowed. */
const faults: string[] = [];

beforeAll(async () => {
  browser = await launchChromium();
  port = await freePort();
  redis = await RedisServer.start();
  await startNode();
});

afterAll(async () => {
  await browser.close();
  await node.kill();
  await redis.dispose();
});

beforeEach(async () => {
  context = await browser.newContext();
  proxy = await NoUpgradeProxy.start(`http://127.0.0.1:${port}`);
});

afterEach(async () => {
  await context.close();
  proxy.stop();
  expect(faults.splice(0)).toEqual([]);
});

async function startNode(): Promise<void> {
  node = await NodeProcess.start({
    flags: ['--port', String(port), '--redis', redis.url],
    env: { ROOMCAST_ROOMS: '[{"match": "*", "memberEvents": true}]' },
  });
}

/** A page of the proxy, with a client in it. */
async function open(file: string, room: string): Promise<Page> {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => faults.push(String(error)));
  // The chat page, since it may run what its own node serves. It joins no room.
  await page.goto(proxy.url);
  // As text: what Vitest makes of a function does not run in a page.
  await page.evaluate(`import('/${file}').then(({ RoomcastClient }) => {
    globalThis.client = new RoomcastClient(location.origin, { reconnect: { baseMs: 20, capMs: 200 } });
    globalThis.room = client.room('${room}', { last: 1000 });
    globalThis.heard = [];
    room.on('message', ({ data }) => heard.push(data));
  })`);
  return page;
}

const becomes = (page: Page, expression: string, value: unknown) =>
  expect.poll(() => page.evaluate(expression), { timeout: 20_000 }).toEqual(value);

it('pages with either bundle say how they are connected, and have everything once and in order, over cuts and a killed node', async () => {
  const reader = await open('client.js', 'cuts');
  const writer = await open('client-json.js', 'cuts');
  for (const page of [reader, writer]) {
    await becomes(page, 'client.status.state', 'connected');
    expect(await page.evaluate('client.status.transport')).toBe('sse');
    await becomes(page, 'room.state', 'joined');
  }
  expect(proxy.refused).toBeGreaterThanOrEqual(6);
  const publish = (from: number) =>
    writer.evaluate(`Promise.all(Array.from({ length: 20 }, (_, n) => room.publish(${from} + n)))`);
  for (let from = 0; from < 100; from += 20) {
    const stored = publish(from);
    proxy.cut();
    await stored;
  }
  await node.kill();
  const stored = publish(100);
  await startNode();
  await stored;
  const all = Array.from({ length: 120 }, (_, n) => n);
  for (const page of [reader, writer]) await becomes(page, 'heard', all);
  const back = await reader.evaluate(`room.publish('back')`);
  expect(back).toMatchObject({ offset: 121 });
}, 60_000);

it('two tabs of the chat page talk, see who types and who is here, and come back', async () => {
  const ann = await ChatTab.open(context, proxy.url, 'Ann', faults);
  const bob = await ChatTab.open(context, proxy.url, 'Bob', faults);
  await ann.join();
  await bob.join();
  await ann.lists('Ann', 'Bob');
  await bob.lists('Ann', 'Bob');
  await ann.page.getByText('connected over HTTP: WebSockets are blocked').waitFor();
  await ann.say('over requests');
  await bob.sees('over requests');
  await bob.page.getByLabel('Message', { exact: true }).pressSequentially('hm');
  await ann.showsTyping('Bob is typing…');
  await bob.page.getByRole('button', { name: 'Drop connection' }).click();
  await ann.say('meanwhile');
  await bob.sees(/^caught up/);
  await bob.sees('meanwhile');
  await ann.lists('Ann', 'Bob');
  for (const tab of [ann, bob]) expect(await tab.chat()).toEqual(['over requests', 'meanwhile']);
});
