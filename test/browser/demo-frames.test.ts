import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium } from '../support/browser.ts';
import { ScriptedNode } from '../support/scripted-node.ts';
import { waitFor } from '../support/wait.ts';

const TIME = Date.UTC(2030, 0, 1);
const HELLO = {
  connection: 'c1',
  node: 'n1',
  user: null,
  heartbeatMs: 25_000,
  maxPayload: 65_536,
  version: 1,
};
/** Elements that a later version may add, which clients pass over. */
const LATER = [{ more: true }, null, 7] as const;

let browser: Browser;
let node: ScriptedNode;
let page: Page;
/** Exceptions that the page did not catch. */
let faults: Error[];

beforeAll(async () => {
  browser = await launchChromium();
});

afterAll(() => browser.close());

beforeEach(async () => {
  faults = [];
  node = await ScriptedNode.start();
  node.results.history = { epoch: 'e1', offset: 0, messages: [] };
  node.results.join = { epoch: 'e1', offset: 0, recovered: false };
  node.results.members = { count: 2, users: 0, members: [] };
  page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => faults.push(error));
  await page.goto(`${node.url}/?name=Ann&room=lobby`);
  await waitFor(() => node.opened === 1, { timeoutMs: 20_000 });
});

afterEach(async () => {
  await page.close();
  await node.stop();
  expect(faults).toEqual([]);
});

/** In the room, as far as the page knows. */
async function join(): Promise<void> {
  node.say(['hello', HELLO, ...LATER]);
  await page.getByRole('button', { name: 'Join' }).click();
  await page.locator('#count').getByText('2 here').waitFor();
}

const sees = (text: string | RegExp) => page.locator('#log').getByText(text).first().waitFor();
const counts = (text: string) => page.locator('#count').getByText(text, { exact: true }).waitFor();

/** Whatever came before has been handled when this is shown. */
async function saysAfterwards(): Promise<void> {
  node.say(['message', 'lobby', 0, TIME, 'bob', { kind: 'chat', text: 'afterwards' }]);
  await sees('afterwards');
}

describe('the demo page, told by a node', () => {
  it('hello: shows who it is, and that it is connected', async () => {
    node.say(['hello', HELLO, ...LATER]);
    await sees('welcome: you are c1 on node n1');
    await page
      .locator('#status.open')
      .getByText(/connected to n1/)
      .waitFor();
  });

  it('ok: takes the result', async () => {
    await join();
    await page.getByLabel('Message', { exact: true }).fill('hi');
    node.results.publish = { epoch: 'e1', offset: 1, duplicate: true, later: 1 };
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('#log li.own').getByText(/#1 ✓/).waitFor();
  });

  it('ok: with an id that nobody waits for, or without a result, changes nothing', async () => {
    await join();
    node.say(['ok', 9999, {}], ['ok', 0], ['ok']);
    await saysAfterwards();
  });

  it('error: shows that of a command with it, others by themselves', async () => {
    await join();
    await page.getByLabel('Message', { exact: true }).fill('hi');
    node.results.publish = null;
    await page.getByRole('button', { name: 'Send' }).click();
    const [, id] = await waitFor(() => node.commands.find(([type, n]) => type === 'publish' && n !== 0));
    node.say(['error', id, 'forbidden', 'not in this room', null, ...LATER]);
    await page.locator('#log li.failed').getByText('not sent: forbidden: not in this room').waitFor();
    node.say(['error', 0, 'bad_frame', 'what was that', { retryAfterMs: 1 }, ...LATER]);
    await sees('bad_frame: what was that');
  });

  it('message: shows it with its sender and offset, of any shape, of a server too', async () => {
    await join();
    node.say(
      ['message', 'lobby', 1, TIME, 'bob', { kind: 'chat', text: 'from Bob', name: 'Bob' }, ...LATER],
      ['message', 'lobby', 2, TIME, null, { kind: 'chat', text: 'from a backend' }],
      ['message', 'lobby', 3, TIME, 'bob', null],
      ['message', 'lobby', 4, TIME, 'bob', ['a', 'list']],
      ['message', 'lobby', 5, TIME, 'bob', 'a text'],
      ['message', 'lobby', 6, TIME, 'bob', { kind: 'notice', what: 'joined', name: 'Bob' }],
      ['message', 'elsewhere', 1, TIME, 'bob', { kind: 'chat', text: 'of another room' }],
      ['message', 'lobby', 2, TIME, 'bob', { kind: 'chat', text: 'seen before' }],
    );
    await saysAfterwards();
    const said = await page.locator('#log li.chat span').allTextContents();
    expect(said).toEqual(['from Bob', 'from a backend', 'null', '["a","list"]', '"a text"', 'afterwards']);
    await page.locator('#log li.chat').filter({ hasText: 'from a backend' }).getByText('server').waitFor();
    await sees('Bob joined');
  });

  it('member: shows how many there are, and who vanished', async () => {
    await join();
    node.say(['message', 'lobby', 1, TIME, 'bob', { kind: 'chat', text: 'hi', name: 'Bob' }]);
    node.say(['member', 'lobby', 'joined', { connection: 'c2', user: 'carol', info: {} }, 3, ...LATER]);
    await counts('3 here');
    node.say(['member', 'lobby', 'left', { connection: 'c3', user: 'bob' }, 2, ...LATER]);
    await counts('2 here');
    await sees('Bob is gone');
    node.say(['member', 'lobby', 'left', { connection: 'c4', user: null }, 1]);
    await counts('1 here');
  });

  it.each(['joined', 'left'])('member: of a large room, where it names nobody who %s', async (change) => {
    await join();
    node.say(['member', 'lobby', change, null, 4321, ...LATER]);
    await counts('4321 here');
    node.say(['member', 'elsewhere', change, null, 5]);
    await saysAfterwards();
    await counts('4321 here');
  });

  it('gap: says what is missing, and goes on after it', async () => {
    await join();
    node.say(['gap', 'lobby', 1, 7, ...LATER], ['gap', 'elsewhere', 1, 99]);
    await sees('messages #1 to #7 can no longer be had');
    node.say(
      ['message', 'lobby', 7, TIME, 'bob', { kind: 'chat', text: 'within the gap' }],
      ['message', 'lobby', 8, TIME, 'bob', { kind: 'chat', text: 'after the gap' }],
    );
    await sees('after the gap');
    expect(await page.locator('#log li.chat span').allTextContents()).toEqual(['after the gap']);
  });

  it('reset: says so, and begins anew from there', async () => {
    await join();
    node.say(['message', 'lobby', 50, TIME, 'bob', { kind: 'chat', text: 'before' }]);
    node.say(['reset', 'lobby', 'e2', 3, ...LATER], ['reset', 'elsewhere', 'e9', 9]);
    await sees('the history of this room was lost and started anew');
    node.say(['message', 'lobby', 4, TIME, 'bob', { kind: 'chat', text: 'of the new epoch' }]);
    await sees('of the new epoch');
  });

  it('removed: leaves the room and says why', async () => {
    await join();
    node.say(
      ['removed', 'elsewhere', 'other'],
      ['removed', 'lobby', 'the token no longer allows it', ...LATER],
    );
    await sees('removed from lobby: the token no longer allows it');
    await page.getByRole('button', { name: 'Join' }).waitFor();
  });

  it.each([{ reconnectAfterMs: 1 }, null])('bye with %j: says so and comes back', async (details) => {
    await join();
    node.say(['bye', 1012, details, ...LATER]);
    await sees('this node is about to close');
    node.close(1012, 'node restarting');
    await waitFor(() => node.opened === 2, { timeoutMs: 20_000 });
    node.say(['hello', { ...HELLO, node: 'n2' }]);
    await page
      .locator('#status.open')
      .getByText(/connected to n2/)
      .waitFor();
  });

  it('what it has never heard of: passes over it', async () => {
    await join();
    node.say(['shout', 'lobby', 1], ['constructor'], ['toString', {}]);
    await saysAfterwards();
  });

  it.each([
    [4501, 'unauthorized'],
    [4777, 'of a later version'],
    [1009, 'message too large'],
  ])('close %i: does not come back', async (code, reason) => {
    await join();
    node.close(code, reason);
    await page.locator('#status').getByText(`closed for good: ${code} ${reason}`).waitFor();
    expect(node.opened).toBe(1);
  });

  it('close 1013, as where a token cannot be checked now: comes back', async () => {
    await join();
    node.close(1013, 'try again later');
    await page
      .locator('#status')
      .getByText(/disconnected \(1013 try again later\)/)
      .waitFor();
    await waitFor(() => node.opened === 2, { timeoutMs: 20_000 });
  });
});
