import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium } from '../support/browser.ts';
import { ScriptedNode } from '../support/scripted-node.ts';
import { waitFor } from '../support/wait.ts';

const TIME = Date.UTC(2030, 0, 1);
/** Who is in the room when the page has joined. */
const MEMBERS = {
  count: 2,
  users: 1,
  members: [
    { connection: 'c1', user: null, data: { from: 'ann', name: 'Ann' } },
    { connection: 'c9', user: 'bob', data: { from: 'bob', name: 'Bob' } },
  ],
};
const HELLO = {
  connection: 'c1',
  node: 'n1',
  user: null,
  heartbeatMs: 25_000,
  maxPayload: 65_536,
  version: 1,
  dedupWindowMs: 300_000,
  silentAfterMs: 30_000,
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
  node.results.join = { epoch: 'e1', offset: 0, from: 0, recovered: false, members: MEMBERS };
  node.results.members = MEMBERS;
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
  await sees('You joined lobby · 2 here');
}

const sees = (text: string | RegExp) => page.locator('#log').getByText(text).first().waitFor();
const alerts = (text: string) => page.getByRole('alert').getByText(text).waitFor();
const counts = (text: string) => page.locator('#count').getByText(text, { exact: true }).waitFor();

/** Whatever came before has been handled when this is shown. */
async function saysAfterwards(): Promise<void> {
  node.say(['message', 'lobby', 0, TIME, 'bob', { text: 'afterwards' }]);
  await sees('afterwards');
}

describe('the demo page, told by a node', () => {
  it('hello: shows that it is connected, and as whom', async () => {
    node.say(['hello', { ...HELLO, user: 'ann' }, ...LATER]);
    await page.locator('.connected #link').getByText('connected to n1 as ann').waitFor();
  });

  it('ok: takes the result', async () => {
    await join();
    await page.getByLabel('Message', { exact: true }).fill('hi');
    node.results.publish = { epoch: 'e1', offset: 1, duplicate: true, later: 1 };
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('#log .own:not(.unsent)').getByText('hi').waitFor();
  });

  it('ok: with an id that nobody waits for, or without a result, changes nothing', async () => {
    await join();
    node.say(['ok', 9999, {}], ['ok', 0, {}]);
    await saysAfterwards();
  });

  it('error: shows that of a command with it, others by themselves', async () => {
    await join();
    await page.getByLabel('Message', { exact: true }).fill('hi');
    node.results.publish = null;
    await page.getByRole('button', { name: 'Send' }).click();
    const [, id] = await waitFor(() => node.commands.find(([type, n]) => type === 'publish' && n !== 0));
    node.say(['error', id, 'forbidden', 'not in this room', null, ...LATER]);
    await page.locator('#log .failed').getByText('not sent: forbidden: not in this room').waitFor();
    node.say(['error', 0, 'bad_frame', 'what was that', { retryAfterMs: 1 }, ...LATER]);
    await sees('bad_frame: what was that');
  });

  it('message: shows it with its sender and offset, of any shape, of a server too', async () => {
    await join();
    node.say(
      ['message', 'lobby', 1, TIME, 'bob', { text: 'from Bob', name: 'Bob' }, ...LATER],
      ['message', 'lobby', 2, TIME, null, { text: 'from a backend' }],
      ['message', 'lobby', 3, TIME, 'bob', null],
      ['message', 'lobby', 4, TIME, 'bob', ['a', 'list']],
      ['message', 'lobby', 5, TIME, 'bob', 'a text'],
      ['message', 'elsewhere', 1, TIME, 'bob', { text: 'of another room' }],
      ['message', 'lobby', 2, TIME, 'bob', { text: 'seen before' }],
    );
    await saysAfterwards();
    const said = await page.locator('#log .chat span').allTextContents();
    expect(said).toEqual(['from Bob', 'from a backend', 'null', '["a","list"]', '"a text"', 'afterwards']);
    await page.locator('#log .chat').filter({ hasText: 'from a backend' }).getByText('server').waitFor();
  });

  it('member: shows how many there are, and who came and went', async () => {
    await join();
    const carol = { connection: 'c2', user: 'carol', info: {}, data: { from: 'carol', name: 'Carol' } };
    node.say(['member', 'lobby', 'joined', carol, 3, ...LATER]);
    await sees('Carol joined · 3 here');
    node.say(['member', 'lobby', 'joined', { connection: 'c3', user: null }, 4]);
    await sees('c3 joined · 4 here');
    node.say(['member', 'lobby', 'left', { connection: 'c9', user: 'bob' }, 3, ...LATER]);
    await sees('Bob left · 3 here');
    await counts('3');
  });

  it('member: of someone who comes back before the old connection is gone, changes nothing', async () => {
    await join();
    const again = { connection: 'c5', user: 'bob', data: { from: 'bob', name: 'Bob' } };
    node.say(['member', 'lobby', 'joined', again, 3]);
    node.say(['member', 'lobby', 'left', { connection: 'c9', user: 'bob' }, 2]);
    await saysAfterwards();
    await counts('2');
    expect(await page.locator('#log .notice').allTextContents()).not.toContainEqual(
      expect.stringMatching(/Bob/),
    );
  });

  it('presence: shows the new name', async () => {
    await join();
    node.say(['presence', 'lobby', { connection: 'c9', user: 'bob', data: { from: 'bob', name: 'Robert' } }]);
    await page.locator('#people').getByText('Robert').waitFor();
  });

  it.each(['joined', 'left'])('member: of a large room, where it names nobody who %s', async (change) => {
    await join();
    node.say(['member', 'lobby', change, null, 4321, ...LATER]);
    await counts('4321');
    node.say(['member', 'elsewhere', change, null, 5]);
    await saysAfterwards();
    await counts('4321');
  });

  it('gap: says what is missing, and goes on after it', async () => {
    await join();
    node.say(['gap', 'lobby', 1, 7, 'expired', ...LATER], ['gap', 'elsewhere', 1, 99, 'expired']);
    await sees('messages #1 to #7 are missing: expired');
    node.say(
      ['message', 'lobby', 7, TIME, 'bob', { text: 'within the gap' }],
      ['message', 'lobby', 8, TIME, 'bob', { text: 'after the gap' }],
    );
    await sees('after the gap');
    expect(await page.locator('#log .chat span').allTextContents()).toEqual(['after the gap']);
  });

  it('reset: says so, and begins anew from there', async () => {
    await join();
    node.say(['message', 'lobby', 50, TIME, 'bob', { text: 'before' }]);
    node.say(['reset', 'lobby', 'e2', 3, ...LATER], ['reset', 'elsewhere', 'e9', 9]);
    await sees('the history of this room was lost and started anew');
    node.say(['message', 'lobby', 4, TIME, 'bob', { text: 'of the new epoch' }]);
    await sees('of the new epoch');
  });

  it('removed: leaves the room and says why', async () => {
    await join();
    node.say(
      ['removed', 'elsewhere', 'other'],
      ['removed', 'lobby', 'the token no longer allows it', ...LATER],
    );
    await alerts('You were removed from lobby: the token no longer allows it');
    await page.getByRole('button', { name: 'Join' }).waitFor();
  });

  it.each([{ reconnectAfterMs: 1 }, null])('bye with %j: comes back', async (details) => {
    await join();
    node.say(['bye', 1012, details, ...LATER]);
    node.close(1012, 'node restarting');
    await waitFor(() => node.opened === 2, { timeoutMs: 20_000 });
    node.say(['hello', { ...HELLO, node: 'n2' }]);
    await page.locator('.connected #link').getByText('connected to n2').waitFor();
  });

  it('bye with a long wait: says why, and when it comes back', async () => {
    await join();
    node.say(['bye', 1012, { reconnectAfterMs: 60_000 }]);
    node.close(1012, 'node restarting');
    await page.locator('.waiting #link').getByText('disconnected').waitFor();
    await sees('disconnected: node restarting');
    await page
      .locator('#retry')
      .getByText(/^next try in (60|5\d) s$/)
      .waitFor();
    await page.getByLabel('Message', { exact: true }).fill('meanwhile');
    await page.keyboard.press('Enter');
    await page.locator('#log .unsent').getByText('waiting for the connection').waitFor();
  });

  it('what it has never heard of: passes over it', async () => {
    await join();
    node.say(['shout', 'lobby', 1], ['constructor', 'lobby'], ['toString', {}]);
    await saysAfterwards();
  });

  it.each([
    [4501, 'unauthorized'],
    [4777, 'of a later version'],
    [1009, 'message too large'],
  ])('close %i: does not come back', async (code, reason) => {
    await join();
    node.close(code, reason);
    await page.locator('.closed #link').getByText(`closed for good: ${reason}`).waitFor();
    expect(node.opened).toBe(1);
    await page.getByRole('button', { name: 'Leave' }).click();
    await page.getByRole('button', { name: 'Join' }).click();
    await alerts(`closed: ${reason}`);
  });

  it('close 1013, as where a token cannot be checked now: comes back', async () => {
    await join();
    node.close(1013, 'try again later');
    await waitFor(() => node.opened === 2, { timeoutMs: 20_000 });
  });
});
