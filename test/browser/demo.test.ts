import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium } from '../support/browser.ts';
import { NodeProcess } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';
import { RedisServer } from '../support/redis.ts';

let browser: Browser;
let context: BrowserContext;
let port: number;
let node: NodeProcess;
/** Exceptions that a page did not catch. */
const faults: Error[] = [];

beforeAll(async () => {
  browser = await launchChromium();
});

afterAll(() => browser.close());

beforeEach(async () => {
  port = await freePort();
  context = await browser.newContext();
});

afterEach(async () => {
  await context.close();
  await node.kill();
  expect(faults.splice(0)).toEqual([]);
});

async function startNode(...flags: string[]): Promise<void> {
  node = await NodeProcess.start({ flags: ['--port', String(port), ...flags] });
}

/** The demo page in a tab of its own, as a person uses it. */
class Tab {
  readonly page: Page;
  readonly name: string;

  private constructor(page: Page, name: string) {
    this.page = page;
    this.name = name;
  }

  static async open(name: string): Promise<Tab> {
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => faults.push(error));
    await page.goto(`${node.url}/?name=${encodeURIComponent(name)}`);
    return new Tab(page, name);
  }

  /** In the room, when the room knows. */
  async join(): Promise<void> {
    await this.page.getByRole('button', { name: 'Join' }).click();
    await this.sees(`${this.name} joined`);
  }

  async say(text: string): Promise<void> {
    await this.page.getByLabel('Message', { exact: true }).fill(text);
    await this.page.getByRole('button', { name: 'Send' }).click();
  }

  /** A line of the log, a bubble or a notice, with exactly this text in it, for the so many-th time. */
  async sees(text: string, times = 1): Promise<void> {
    const lines = this.page.locator('#log').getByText(text, { exact: true });
    await lines.nth(times - 1).waitFor();
  }

  /** Its last bubble says that the node has it. */
  async isAcknowledged(): Promise<void> {
    await this.page.locator('#log li.own').last().getByText('✓').waitFor();
  }

  async isConnected(): Promise<void> {
    await this.page.locator('#status.open').waitFor();
  }

  async isDisconnected(): Promise<void> {
    await this.page.locator('#status:not(.open)').getByText('disconnected').waitFor();
  }

  async showsTyping(text: string): Promise<void> {
    await this.page
      .locator('#typing')
      .filter({ hasText: new RegExp(`^${text}$`) })
      .waitFor({ state: 'attached' });
  }

  /** What was said, in order. */
  chat(): Promise<string[]> {
    return this.page.locator('#log li.chat span').allTextContents();
  }

  notices(): Promise<string[]> {
    return this.page.locator('#log li.notice').allTextContents();
  }
}

async function annAndBob(): Promise<[Tab, Tab]> {
  const ann = await Tab.open('Ann');
  const bob = await Tab.open('Bob');
  await ann.join();
  await bob.join();
  await ann.sees('Bob joined');
  return [ann, bob];
}

describe('two tabs of the demo page', () => {
  beforeEach(() => startNode());

  it('talk, and show the same in the same order', async () => {
    const [ann, bob] = await annAndBob();
    await ann.say('Hello, Bob');
    await bob.sees('Hello, Bob');
    await bob.sees('Ann');
    await bob.say('Hello, <b>Ann</b>');
    await ann.sees('Hello, <b>Ann</b>');
    for (let n = 1; n <= 5; n++) await Promise.all([ann.say(`a${n}`), bob.say(`b${n}`)]);
    await Promise.all([ann.sees('b5'), bob.sees('a5'), ann.isAcknowledged(), bob.isAcknowledged()]);
    const said = await ann.chat();
    expect(said).toHaveLength(12);
    expect(said.slice(0, 2)).toEqual(['Hello, Bob', 'Hello, <b>Ann</b>']);
    expect(await bob.chat()).toEqual(said);
  });

  it('show a tab that comes later what was said before', async () => {
    const [ann, bob] = await annAndBob();
    await ann.say('before');
    await bob.sees('before');
    const carol = await Tab.open('Carol');
    await carol.join();
    expect(await carol.chat()).toEqual(['before']);
    expect((await carol.notices()).slice(1)).toEqual(['Ann joined', 'Bob joined', 'Carol joined']);
  });

  it('show who is typing, each time, to the other one only', async () => {
    const [ann, bob] = await annAndBob();
    const shown = await bob.page.evaluateHandle(() => {
      const texts: string[] = [];
      const typing = document.querySelector('#typing')!;
      new MutationObserver(() => texts.push(typing.textContent ?? '')).observe(typing, { childList: true });
      return texts;
    });
    for (const text of ['first', 'second']) {
      await bob.page.getByLabel('Message', { exact: true }).pressSequentially(text);
      await ann.showsTyping('Bob is typing…');
      await bob.page.keyboard.press('Enter');
      await ann.sees(text);
      await ann.showsTyping('');
    }
    await ann.say('after');
    await bob.sees('after');
    const texts = await shown.jsonValue();
    expect(texts.filter((text) => text.includes('Bob'))).toEqual([]);
  });

  it('say who joined and who left, by the button or by closing the tab', async () => {
    const [ann, bob] = await annAndBob();
    await bob.page.getByRole('button', { name: 'Leave' }).click();
    await ann.sees('Bob left');
    await bob.join();
    await ann.sees('Bob joined', 2);
    await bob.page.close({ runBeforeUnload: true });
    await ann.sees('Bob left', 2);
    const carol = await Tab.open('Carol');
    await carol.join();
    await ann.sees('Carol joined');
    const notices = await ann.notices();
    const expected = ['Ann joined', 'Bob joined', 'Bob left', 'Bob joined', 'Bob left', 'Carol joined'];
    expect(notices.slice(1)).toEqual(expected);
  });

  it('are told that the history is gone when the node, which is all there is, was killed', async () => {
    const [ann, bob] = await annAndBob();
    await ann.say('before');
    await bob.sees('before');
    await node.kill();
    await Promise.all([ann.isDisconnected(), bob.isDisconnected()]);
    await startNode();
    await Promise.all([ann.isConnected(), bob.isConnected()]);
    const lost = 'the history of this room was lost and started anew';
    await Promise.all([ann.sees(lost), bob.sees(lost)]);
    await ann.say('after');
    await bob.sees('after');
    await bob.say('indeed');
    await ann.sees('indeed');
    expect(await ann.chat()).toEqual(['before', 'after', 'indeed']);
    expect(await bob.chat()).toEqual(['before', 'after', 'indeed']);
  });
});

describe('two tabs of a node with Redis', () => {
  let redis: RedisServer;

  beforeAll(async () => {
    redis = await RedisServer.start();
  });

  afterAll(() => redis.dispose());

  it('come back when it is killed and started again, and lose and repeat nothing', async () => {
    await startNode('--redis', redis.url);
    const [ann, bob] = await annAndBob();
    await ann.say('before');
    await bob.sees('before');
    await node.kill();
    await Promise.all([ann.isDisconnected(), bob.isDisconnected()]);
    await ann.say('meanwhile');
    await ann.page.locator('#log li.own').last().getByText('waiting for the connection').waitFor();
    await startNode('--redis', redis.url);
    await Promise.all([ann.isConnected(), bob.isConnected()]);
    await bob.sees('meanwhile');
    await bob.say('after');
    await ann.sees('after');
    await Promise.all([ann.isAcknowledged(), bob.isAcknowledged()]);
    for (const tab of [ann, bob]) {
      expect(await tab.chat()).toEqual(['before', 'meanwhile', 'after']);
      expect((await tab.notices()).join()).not.toMatch(/lost|no longer/);
    }
  });
});
