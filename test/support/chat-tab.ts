/** The demo page in a tab, as a person uses it. */
import type { BrowserContext, Page } from 'playwright-core';

export class ChatTab {
  readonly page: Page;
  readonly name: string;

  private constructor(page: Page, name: string) {
    this.page = page;
    this.name = name;
  }

  /** `faults` gets what the page did not catch, and what its Content-Security-Policy refused. */
  static async open(
    context: BrowserContext,
    url: string,
    name: string,
    faults: string[],
    room = 'lobby',
  ): Promise<ChatTab> {
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => {
      if (/Content.Security.Policy|TrustedHTML/i.test(message.text())) faults.push(message.text());
    });
    await page.goto(`${url}/?${new URLSearchParams({ name, room })}`);
    return new ChatTab(page, name);
  }

  /** In the room, with its history. */
  async join(): Promise<void> {
    await this.page.getByRole('button', { name: 'Join' }).click();
    await this.sees(/^You joined/);
  }

  async say(text: string): Promise<void> {
    await this.page.getByLabel('Message', { exact: true }).fill(text);
    await this.page.getByRole('button', { name: 'Send' }).click();
  }

  /** A line of the log, a bubble or a notice, for the so many-th time. */
  async sees(text: string | RegExp, times = 1): Promise<void> {
    const lines = this.page.locator('#log').getByText(text, { exact: true });
    await lines.nth(times - 1).waitFor();
  }

  /** Everything that it said is stored. */
  async isAcknowledged(): Promise<void> {
    await this.page.locator('#log .unsent').first().waitFor({ state: 'detached' });
  }

  async isConnected(): Promise<void> {
    await this.page.locator('.connected #link').waitFor();
  }

  async isDisconnected(): Promise<void> {
    await this.page.locator('.waiting #link').waitFor();
  }

  async showsTyping(text: string): Promise<void> {
    await this.page
      .locator('#typing')
      .filter({ hasText: new RegExp(`^${text}$`) })
      .waitFor({ state: 'attached' });
  }

  /** Who it says is here, as many as it counts. */
  async lists(...names: readonly string[]): Promise<void> {
    await this.page.locator('#count').getByText(String(names.length), { exact: true }).waitFor();
    for (const name of names) {
      await this.page.locator('#people').getByText(name, { exact: true }).waitFor({ state: 'attached' });
    }
    const shown = await this.page.locator('#people li').allTextContents();
    if (shown.toSorted().join() !== names.toSorted().join()) throw new Error(`it lists ${shown.join()}`);
  }

  /** What was said, in order. */
  chat(): Promise<string[]> {
    return this.page.locator('#log .chat span').allTextContents();
  }

  notices(): Promise<string[]> {
    return this.page.locator('#log .notice').allTextContents();
  }
}
