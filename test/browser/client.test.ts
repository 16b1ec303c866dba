/** The client in a real page, under a Content-Security-Policy that allows nothing but what it must. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium } from '../support/browser.ts';
import { NodeProcess } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';

let browser: Browser;
let context: BrowserContext;
let node: NodeProcess;
let port: number;
let site: Server;
/** What the pages load as their own script. */
let script = '';
const faults: string[] = [];

beforeAll(async () => {
  browser = await launchChromium();
  port = await freePort();
  node = await NodeProcess.start({ flags: ['--port', String(port)] });
  site = createServer(({ url }, response) => {
    if (url === '/app.js') return response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(script);
    const policy = [
      "default-src 'none'",
      `script-src 'self' ${node.url}`,
      `connect-src ${node.url.replace('http', 'ws')}`,
      "require-trusted-types-for 'script'",
    ];
    response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Security-Policy': policy.join('; ') });
    return response.end('<!doctype html><title>app</title><script type="module" src="/app.js"></script>');
  });
  await once(site.listen(0, '127.0.0.1'), 'listening');
});

afterAll(async () => {
  site.close();
  await Promise.all([browser.close(), node.kill()]);
});

beforeEach(async () => {
  context = await browser.newContext();
});

afterEach(async () => {
  await context.close();
  expect(faults.splice(0)).toEqual([]);
});

async function open(file: string, first = ''): Promise<Page> {
  script = `
    ${first}
    import { RoomcastClient } from '${node.url}/${file}';
    globalThis.client = new RoomcastClient('${node.url}', { reconnect: { baseMs: 100, capMs: 500 } });
    globalThis.heard = [];
    globalThis.room = client.room('page', { last: 10 });
    room.on('message', ({ data }) => heard.push(data));
    client.connect();`;
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  const { port: sitePort } = site.address() as AddressInfo;
  await page.goto(`http://127.0.0.1:${sitePort}/`);
  return page;
}

const TRY_EVAL = `
  globalThis.mayEval = true;
  try { eval('1'); } catch { globalThis.mayEval = false; }`;

/** Asked again and again from outside: what Playwright offers for waiting is refused by the page's policy. */
const becomes = (page: Page, expression: string, value: unknown) =>
  expect.poll(() => page.evaluate(expression), { timeout: 20_000 }).toEqual(value);

describe.each(['client.js', 'client-json.js'])('/%s in a page', (file) => {
  it('runs under a strict Content-Security-Policy, without eval', async () => {
    const page = await open(file, TRY_EVAL);
    const result = await page.evaluate(`room.publish({ text: 'hé 👋', at: null })`);
    expect(result).toMatchObject({ offset: expect.any(Number) });
    await becomes(page, 'heard.at(-1)', { text: 'hé 👋', at: null });
    expect(await page.evaluate('mayEval')).toBe(false);
    // What Chromium says about the attempt.
    expect(faults.splice(0)).not.toEqual([]);
  });
});

describe('a page', () => {
  it('comes back after a drop, with what it missed', async () => {
    const [one, two] = [await open('client.js'), await open('client.js')];
    await one.evaluate(`room.publish('first')`);
    await becomes(two, `heard.at(-1)`, 'first');
    await two.evaluate(`client.dropConnection()`);
    await one.evaluate(`room.publish('second')`);
    await becomes(two, 'heard.at(-1)', 'second');
    expect(await two.evaluate('client.status.state')).toBe('connected');
  });

  it('that goes offline notices, and comes back when it is online', async () => {
    const page = await open('client.js');
    await becomes(page, 'client.status.state', 'connected');
    await context.setOffline(true);
    await page.evaluate('client.dropConnection()');
    await becomes(page, 'client.status.state', 'waiting');
    const published = page.evaluate(`room.publish('from offline')`);
    await context.setOffline(false);
    expect(await published).toMatchObject({ offset: expect.any(Number) });
    // What Chromium says about the connections that could not be opened meanwhile.
    faults.splice(0, faults.length, ...faults.filter((text) => !/ERR_INTERNET_DISCONNECTED/.test(text)));
  });

  it('leaves no listener behind when the client is closed', async () => {
    const page = await open('client.js');
    await becomes(page, 'client.status.state', 'connected');
    const counted = await page.evaluate(`(() => {
      let balance = 0;
      for (const [name, by] of [['addEventListener', 1], ['removeEventListener', -1]]) {
        const original = EventTarget.prototype[name];
        EventTarget.prototype[name] = function (...given) {
          if (this === window || this === document) balance += by;
          return original.apply(this, given);
        };
      }
      const { constructor } = client;
      const other = new constructor(location.origin);
      other.connect();
      const added = balance;
      other.close();
      return { added, left: balance };
    })()`);
    expect(counted).toEqual({ added: 5, left: 0 });
  });
});
