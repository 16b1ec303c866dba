/** The demo page on two nodes with Redis, each page behind an address that outlives its node, as behind a balancer. */
import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { launchChromium } from '../support/browser.ts';
import { ChatTab } from '../support/chat-tab.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import { useCluster } from '../support/use-cluster.ts';

const rooms = useCluster({
  nodes: 2,
  env: { ROOMCAST_ROOMS: '[{"match": "*", "memberEvents": true}]' },
});
let browser: Browser;
let context: BrowserContext;
const faults: string[] = [];
const ways: DeafeningProxy[] = [];

beforeAll(async () => {
  browser = await launchChromium();
});

afterAll(() => browser.close());

beforeEach(async () => {
  context = await browser.newContext();
});

afterEach(async () => {
  await context.close();
  for (const way of ways.splice(0)) way.dispose();
  expect(faults.splice(0)).toEqual([]);
});

const portOf = (i: number) => Number(new URL(rooms.cluster.urls[i]!).port);

/** A page whose way leads to a node. */
async function open(name: string, i: number): Promise<{ tab: ChatTab; way: DeafeningProxy }> {
  const way = await DeafeningProxy.start(portOf(i));
  ways.push(way);
  return { way, tab: await ChatTab.open(context, `http://127.0.0.1:${way.port}`, name, faults) };
}

it('two pages chat; one whose node is killed goes on at the other, with everything once and in order', async () => {
  const { tab: ann, way } = await open('Ann', 0);
  const { tab: bob } = await open('Bob', 1);
  await ann.join();
  await bob.join();
  await ann.sees('Bob joined · 2 here');
  const expected: string[] = [];
  for (const [by, other, text] of [
    [ann, bob, 'from node 0'],
    [bob, ann, 'from node 1'],
  ] as const) {
    await by.page.getByLabel('Message', { exact: true }).pressSequentially(text);
    await other.showsTyping(`${by.name} is typing…`);
    await by.showsTyping('');
    await by.page.keyboard.press('Enter');
    await other.sees(text);
    expected.push(text);
  }
  // Said in its last moments, by both: whether its `ok` gets through or not.
  const lastWords = Array.from({ length: 5 }, (_, n) => `last words ${n}`);
  for (const text of lastWords) await ann.say(text);
  await rooms.cluster.kill(0);
  await ann.isDisconnected();

  await bob.say('are you there?');
  const queued = ['I was', 'cut off', 'for a while'];
  for (const text of queued) await ann.say(text);
  expect(await ann.page.locator('#log .unsent span').allTextContents()).toEqual(
    expect.arrayContaining(queued),
  );
  way.lead(portOf(1));

  await bob.sees('for a while');
  await ann.sees('are you there?');
  await ann.isAcknowledged();
  await bob.say('welcome back');
  await ann.sees('welcome back');
  const said = await bob.chat();
  expect(said.toSorted()).toEqual(
    [...expected, ...lastWords, 'are you there?', ...queued, 'welcome back'].toSorted(),
  );
  expect(said.filter((text) => [...lastWords, ...queued].includes(text))).toEqual([...lastWords, ...queued]);
  expect(await ann.chat()).toEqual(said);
  // Typing took no place in the history: offsets are those of messages.
  const history = await fetch(`http://127.0.0.1:${portOf(1)}/v1/rooms/lobby/history`);
  expect(await history.json()).toMatchObject({ offset: said.length });
  // One entry of Ann's is of the dead node, until its lease is over; pages count people.
  await Promise.all([ann.lists('Ann', 'Bob'), bob.lists('Ann', 'Bob')]);
  for (const tab of [ann, bob]) expect((await tab.notices()).join()).not.toMatch(/history|missing/);
}, 60_000);
