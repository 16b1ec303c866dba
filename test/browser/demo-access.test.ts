/** The demo page for those who use no mouse, or read with a machine or with weak eyes. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { launchChromium } from '../support/browser.ts';
import { ChatTab } from '../support/chat-tab.ts';
import { NodeProcess } from '../support/node-process.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let browser: Browser;
let node: NodeProcess;

beforeAll(async () => {
  const env = { ROOMCAST_ROOMS: '[{"match": "*", "memberEvents": true}]' };
  [browser, node] = await Promise.all([launchChromium(), NodeProcess.start({ env })]);
});

afterAll(() => Promise.all([browser.close(), node.kill()]));

/** Everything that axe finds: labels, roles, contrast, focus. */
async function findings(page: Page): Promise<string[]> {
  const { violations } = (await page.evaluate(`${AXE}; axe.run()`)) as AxeResults;
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}

it.each([
  ['light', 'phone', { width: 390, height: 844 }],
  ['dark', 'desktop', { width: 1280, height: 800 }],
] as const)(
  'in %s on a %s has labels, and contrast that is high enough, in every state',
  async (colorScheme, _, viewport) => {
    const faults: string[] = [];
    // The page allows no script but its own, and axe is put into it.
    const context = await browser.newContext({ colorScheme, viewport, bypassCSP: true });
    const room = `access-${colorScheme}`;
    const [ann, bob] = [
      await ChatTab.open(context, node.url, 'Ann', faults, room),
      await ChatTab.open(context, node.url, 'Bob', faults, room),
    ];
    await ann.isConnected();
    await ann.page.getByLabel('Room').fill('a*b');
    await ann.page.getByRole('button', { name: 'Join' }).click();
    await ann.page
      .getByRole('alert')
      .getByText(/^Cannot join/)
      .waitFor();
    expect(await findings(ann.page)).toEqual([]);
    await ann.page.getByLabel('Room').fill(room);
    await ann.join();
    await bob.join();
    await ann.say('from Ann');
    await bob.say('from Bob');
    await ann.sees('from Bob');
    await ann.say('x'.repeat(70_000));
    await ann.page.locator('#log .failed').waitFor();
    await bob.page.getByLabel('Message', { exact: true }).pressSequentially('hm');
    await ann.showsTyping('Bob is typing…');
    await context.setOffline(true);
    // Not by Playwright, which would wait for the button where the page has noticed already.
    await ann.page.evaluate(`document.querySelector('#drop').click()`);
    await ann.isDisconnected();
    await ann.say('meanwhile');
    expect(await findings(ann.page)).toEqual([]);
    await context.close();
    expect(faults).toEqual([]);
  },
  60_000,
);

it('is used by keyboard alone, and shows where the keyboard is', async () => {
  const context = await browser.newContext();
  const ann = await ChatTab.open(context, node.url, 'Ann', []);
  const { keyboard } = ann.page;
  /** What has the focus now, by its name, and whether it is marked. */
  const focused = () =>
    ann.page.evaluate(() => {
      const at = document.activeElement as HTMLElement;
      const label = (at as HTMLInputElement).labels?.[0]?.textContent;
      const name = label ?? at.getAttribute('aria-label') ?? at.textContent ?? '';
      return [name.trim().split('\n')[0], getComputedStyle(at).outlineStyle];
    });
  const walk = async (key: string, times: number) => {
    const stops = [];
    for (let n = 0; n < times; n++) {
      await keyboard.press(key);
      stops.push(await focused());
    }
    return stops;
  };
  await ann.isConnected();
  expect(await walk('Tab', 3)).toEqual([
    ['Your name', 'solid'],
    ['Room', 'solid'],
    ['Join', 'solid'],
  ]);
  await keyboard.press('Enter');
  await ann.sees(/^You joined/);
  await keyboard.type('by keyboard');
  await keyboard.press('Enter');
  await ann.isAcknowledged();
  expect(await ann.chat()).toEqual(['by keyboard']);
  expect(await walk('Tab', 1)).toEqual([['Send', 'solid']]);
  expect(await walk('Shift+Tab', 5)).toEqual([
    ['Message', 'solid'],
    ['Messages', 'solid'],
    [expect.stringMatching(/^Here now/), 'solid'],
    ['Leave', 'solid'],
    ['Drop connection', 'solid'],
  ]);
  await keyboard.press('Enter');
  await ann.sees(/^caught up/);
  await walk('Tab', 1);
  await keyboard.press('Enter');
  expect(await focused()).toEqual(['Room', 'solid']);
  await context.close();
});
