import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium } from '../support/browser.ts';
import { ChatTab } from '../support/chat-tab.ts';
import { NodeProcess } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';

let browser: Browser;
let context: BrowserContext;
let port: number;
let node: NodeProcess;
/** What a page did not catch, or was not allowed. */
const faults: string[] = [];

beforeAll(async () => {
  browser = await launchChromium();
});

afterAll(() => browser.close());

beforeEach(async () => {
  port = await freePort();
  context = await browser.newContext();
  await startNode();
});

afterEach(async () => {
  await context.close();
  await node.kill();
  expect(faults.splice(0)).toEqual([]);
});

/** With rooms that tell of members, and quiet ones that have to be asked. */
async function startNode(): Promise<void> {
  const env = {
    ROOMCAST_ROOMS:
      '[{"match": "quiet:*"}, {"match": "news", "publish": "server", "memberEvents": true}, {"match": "*", "memberEvents": true}]',
  };
  node = await NodeProcess.start({ flags: ['--port', String(port)], env });
}

const open = (name: string, room?: string) => ChatTab.open(context, node.url, name, faults, room);

async function annAndBob(room?: string): Promise<[ChatTab, ChatTab]> {
  const ann = await open('Ann', room);
  const bob = await open('Bob', room);
  await ann.join();
  await bob.join();
  await ann.sees('Bob joined · 2 here');
  return [ann, bob];
}

describe('two tabs of the demo page', () => {
  it('talk, and show the same in the same order', async () => {
    const [ann, bob] = await annAndBob();
    await ann.say('Hello, Bob');
    await bob.sees('Hello, Bob');
    await bob.page.locator('#log b').getByText('Ann', { exact: true }).waitFor();
    await bob.say('Hello, <b>Ann</b>');
    await ann.sees('Hello, <b>Ann</b>');
    for (let n = 1; n <= 5; n++) await Promise.all([ann.say(`a${n}`), bob.say(`b${n}`)]);
    await Promise.all([ann.sees('b5'), bob.sees('a5')]);
    await Promise.all([ann.isAcknowledged(), bob.isAcknowledged()]);
    const said = await ann.chat();
    expect(said).toHaveLength(12);
    expect(said.slice(0, 2)).toEqual(['Hello, Bob', 'Hello, <b>Ann</b>']);
    expect(await bob.chat()).toEqual(said);
  });

  it('show a tab that comes later what was said before, and who is here', async () => {
    const [ann, bob] = await annAndBob();
    await ann.say('before');
    await bob.sees('before');
    const carol = await open('Carol');
    await carol.join();
    expect(await carol.chat()).toEqual(['before']);
    expect(await carol.notices()).toEqual(['You joined lobby · 3 here']);
    await Promise.all([ann, bob, carol].map((tab) => tab.lists('Ann', 'Bob', 'Carol')));
  });

  it('show who is typing, each time, to the other one only, and keep none of it', async () => {
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
    expect((await shown.jsonValue()).filter((text) => text.includes('Bob'))).toEqual([]);
    const history = await (await fetch(`${node.url}/v1/rooms/lobby/history`)).json();
    expect(history).toMatchObject({ offset: 3 });
    expect((history as { messages: unknown[] }).messages).toHaveLength(3);
  });

  it.each(['lobby', 'quiet:lobby'])('say in %s who joined and who left, by button or tab', async (room) => {
    const [ann, bob] = await annAndBob(room);
    await bob.page.getByRole('button', { name: 'Leave' }).click();
    await ann.sees('Bob left · 1 here');
    await bob.join();
    await ann.sees('Bob joined · 2 here', 2);
    await bob.page.close({ runBeforeUnload: true });
    await ann.sees('Bob left · 1 here', 2);
    const carol = await open('Carol', room);
    await carol.join();
    await ann.sees('Carol joined · 2 here');
    await ann.lists('Ann', 'Carol');
    const expected = ['Bob joined', 'Bob left', 'Bob joined', 'Bob left', 'Carol joined'];
    expect((await ann.notices()).slice(1).map((notice) => notice.split(' ·')[0])).toEqual(expected);
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
    for (const tab of [ann, bob]) expect(await tab.chat()).toEqual(['before', 'after', 'indeed']);
  });
});

describe('a tab of the demo page', () => {
  it('drops its connection by button, comes back, and catches up', async () => {
    const [ann, bob] = await annAndBob();
    await ann.say('before');
    await bob.sees('before');
    await bob.page.getByRole('button', { name: 'Drop connection' }).click();
    await ann.say('meanwhile');
    await bob.sees(/^caught up/);
    await bob.sees('meanwhile');
    expect(await bob.chat()).toEqual(['before', 'meanwhile']);
    await ann.lists('Ann', 'Bob');
  });

  it('counts down to its next try', async () => {
    const ann = await open('Ann');
    await ann.join();
    await node.kill();
    await ann.isDisconnected();
    await ann.page
      .locator('#retry')
      .getByText(/^next try in \d+ s$/)
      .waitFor();
  });

  it('marks what came while it was hidden, until it is shown', async () => {
    const [ann, bob] = await annAndBob();
    const hide = (isHidden: boolean) =>
      bob.page.evaluate((hidden) => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, isHidden);
    await ann.say('seen');
    await bob.sees('seen');
    await hide(true);
    for (const text of ['one', 'two']) await ann.say(text);
    await bob.sees('two');
    expect(await bob.page.title()).toBe('(2) Roomcast');
    expect(await bob.page.locator('#log .unread + .chat span').textContent()).toBe('one');
    await hide(false);
    expect(await bob.page.title()).toBe('Roomcast');
  });

  it.each([
    ['a*b', /^Cannot join a\*b: .*\*/],
    ['$secret', /^Cannot join \$secret: /],
    ['x'.repeat(129), /^Cannot join x+: .*128/],
  ])('shows why it cannot join %s, and lets one try again', async (room, problem) => {
    const ann = await open('Ann', room);
    await ann.page.getByRole('button', { name: 'Join' }).click();
    await ann.page.getByRole('alert').getByText(problem).waitFor();
    await ann.page.getByLabel('Room').fill('lobby');
    await ann.join();
  });

  it('shows which message was refused, and why', async () => {
    const ann = await open('Ann', 'news');
    await ann.join();
    await ann.say('hello');
    await ann.page
      .locator('#log .failed')
      .getByText(/^not sent: forbidden: /)
      .waitFor();
  });

  it('shows that a message is too large, and stays connected', async () => {
    const ann = await open('Ann');
    await ann.join();
    await ann.say('x'.repeat(70_000));
    await ann.page
      .locator('#log .failed')
      .getByText(/^not sent: .*65,?536/)
      .waitFor();
    await ann.say('small');
    await ann.isAcknowledged();
  });
});
