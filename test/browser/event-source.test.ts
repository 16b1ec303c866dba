/** The page of docs/server-sent-events.md in Chromium, served from another origin, through HAProxy to nodes that are killed. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Balancer, hasHaproxy } from '../support/balancer.ts';
import { launchChromium } from '../support/browser.ts';
import { Cluster } from '../support/cluster.ts';
import { RedisServer } from '../support/redis.ts';
import { snippetsOf } from '../support/snippets.ts';
import { SECRET, token } from '../support/tokens.ts';
import { waitFor } from '../support/wait.ts';

const CUTS = Number(process.env.CHAOS_CUTS ?? 3);
const OPEN = 'roomcast_connections{encoding="sse"}';

let browser: Browser;
let redis: RedisServer;
let cluster: Cluster;
let balancer: Balancer | null = null;
/** Serves the page. */
let site: Server;
/** What the page's `localhost:8080` is. */
let entry: string;
const faults: Error[] = [];

const originOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

beforeAll(async () => {
  browser = await launchChromium();
  const { code } = snippetsOf('docs/server-sent-events.md').find(({ language }) => language === 'html')!;
  site = createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(code.replace('http://localhost:8080', entry));
  });
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
  redis = await RedisServer.start();
  cluster = await Cluster.start({
    redis: redis.url,
    env: {
      ROOMCAST_ALLOWED_ORIGINS: originOf(site),
      ROOMCAST_AUTH_SECRET: SECRET,
      ROOMCAST_AUTH_ANONYMOUS: 'true',
      // HAProxy notices that a reader left when a node writes to it.
      ROOMCAST_HEARTBEAT_INTERVAL_MS: '1000',
    },
  });
  if (hasHaproxy) balancer = await Balancer.start([0, 1, 2].map((i) => ({ url: cluster.node(i).url })));
  entry = balancer?.url ?? cluster.node(0).url;
});

afterAll(async () => {
  await browser.close();
  await balancer?.stop();
  await cluster.dispose();
  await redis.dispose();
  site.close();
  expect(faults).toEqual([]);
});

async function openTab(): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => faults.push(error));
  await page.goto(originOf(site));
  return page;
}

const sees = (page: Page, text: string) => page.locator('li').getByText(text, { exact: false }).waitFor();

async function shown(page: Page): Promise<string[]> {
  const items = await page.locator('li').allTextContents();
  return items.map((item) => item.replace(/^.*: /, ''));
}

async function nodeOfStream(): Promise<number> {
  const { i } = await waitFor(
    async () => {
      for (let i = 0; i < 3; i++) if (cluster.nodes[i] && (await cluster.metric(i, OPEN)) > 0) return { i };
      return null;
    },
    { timeoutMs: 20_000, for: 'the node of the stream' },
  );
  return i;
}

describe('a page of another origin', { timeout: 240_000 }, () => {
  it('talks with another one', async () => {
    const [ann, bob] = [await openTab(), await openTab()];
    for (const [page, text] of [
      [ann, 'one'],
      [bob, 'two'],
    ] as const) {
      await page.locator('input').fill(text);
      await page.locator('input').press('Enter');
      await Promise.all([sees(ann, text), sees(bob, text)]);
    }
    expect(await shown(ann)).toEqual(['one', 'two']);
    await Promise.all([ann, bob].map((page) => page.context().close()));
    await waitFor(async () =>
      (await Promise.all([0, 1, 2].map((i) => cluster.metric(i, OPEN)))).every((open) => open === 0),
    );
  });

  it.skipIf(!hasHaproxy)(`shows every message once, though its node is killed ${CUTS} times`, async () => {
    const page = await openTab();
    await sees(page, 'two');
    const expected = ['one', 'two'];
    for (let cut = 0; cut < CUTS; cut++) {
      const killed = await nodeOfStream();
      await cluster.kill(killed);
      for (let i = 0; i < 5; i++) {
        const text = `${cut}-${i}`;
        expected.push(text);
        const body = JSON.stringify({ data: { text }, key: text });
        const headers = { 'Content-Type': 'application/json' };
        const url = `${entry}/v1/rooms/chat:lobby/messages`;
        await waitFor(async () => (await fetch(url, { method: 'POST', headers, body })).ok);
      }
      await sees(page, `${cut}-4`);
      expect(await shown(page)).toEqual(expected);
      await cluster.run(killed);
    }
    await page.context().close();
  });

  it('uses a token: in the URL of an EventSource, in the header of a fetch', async () => {
    const page = await openTab();
    const granted = await token({ sub: 'ann', rooms: [{ match: 'own', join: true, publish: true }] });
    const result = await page.evaluate(
      async ([url, token]) => {
        const events = new EventSource(`${url}/v1/rooms/own/events?token=${token}`);
        const message = new Promise((resolve) => {
          events.onmessage = ({ data, lastEventId }) => resolve([JSON.parse(data).slice(4), lastEventId]);
        });
        await new Promise((resolve) => events.addEventListener('joined', resolve, { once: true }));
        const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
        const post = (room: string) => {
          const body = JSON.stringify({ data: 'hi' });
          return fetch(`${url}/v1/rooms/${room}/messages`, { method: 'POST', headers, body });
        };
        const published = await (await post('own')).json();
        const refused = await post('other');
        const answer = [refused.status, (await refused.json()).error.code];
        const got = await message;
        events.close();
        return { published, got, answer };
      },
      [entry, granted] as const,
    );
    expect(result.got).toEqual([['ann', 'hi'], `${result.published.epoch},${result.published.offset}`]);
    expect(result.answer).toEqual([403, 'forbidden']);
    await page.context().close();
  });

  it('of an origin that is not allowed gets nothing', async () => {
    const page = await (await browser.newContext()).newPage();
    const elsewhere = createServer((_, response) => response.end('<p>elsewhere'));
    await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
    await page.goto(originOf(elsewhere));
    const outcome = await page.evaluate(async (url) => {
      const events = new EventSource(`${url}/v1/rooms/chat:lobby/events`);
      await new Promise((resolve) => events.addEventListener('error', resolve, { once: true }));
      const headers = { 'Content-Type': 'application/json' };
      const request = { method: 'POST', headers, body: '{"data": 1}' };
      const post = await fetch(`${url}/v1/rooms/chat:lobby/messages`, request).catch((error) => error.name);
      return [events.readyState, post];
    }, entry);
    expect(outcome).toEqual([2, 'TypeError']);
    elsewhere.close();
    await page.context().close();
  });
});
