import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestClient, UpgradeRefused } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';

const PER_SECOND = 20;
let node: NodeProcess;

beforeAll(async () => {
  node = await NodeProcess.start({ env: { ROOMCAST_ACCEPT_RATE_PER_SECOND: String(PER_SECOND) } });
});

afterAll(async () => {
  await node.stop();
});

/** Connects as a client does that obeys `Retry-After`, with jitter. Resolves with when it was accepted. */
async function connectSomehow(): Promise<{ client: TestClient; atMs: number }> {
  for (;;) {
    try {
      const client = await TestClient.connect(node.wsUrl);
      return { client, atMs: performance.now() };
    } catch (error) {
      if (!(error instanceof UpgradeRefused) || error.status !== 503) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * 800));
    }
  }
}

describe('a ceiling on new connections a second', () => {
  it('spreads a storm, and lets everyone in after a while', async () => {
    const accepted = await Promise.all(Array.from({ length: 3 * PER_SECOND }, connectSomehow));
    const times = accepted.map(({ atMs }) => atMs).sort((a, b) => a - b);
    const storm = times.at(-1)! - times[0]!;
    // The ceiling and its burst of a tenth of a second's worth; what is left over has had to wait.
    expect(storm).toBeGreaterThan(((3 * PER_SECOND - PER_SECOND / 10) / PER_SECOND) * 1000 * 0.9);
    const metrics = await (await fetch(`${node.url}/metrics`)).text();
    expect(
      Number(/roomcast_upgrades_rejected_total\{reason="rate"\} (\d+)/.exec(metrics)![1]),
    ).toBeGreaterThan(0);
    await Promise.all(accepted.map(({ client }) => client.close()));
  });

  it('says when to come back', async () => {
    const attempts = Array.from({ length: PER_SECOND }, () => TestClient.connect(node.wsUrl));
    const outcomes = await Promise.allSettled(attempts);
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason);
    expect(refused.length).toBeGreaterThan(0);
    for (const refusal of refused) {
      expect(refusal).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    }
    for (const outcome of outcomes) if (outcome.status === 'fulfilled') await outcome.value.close();
  });
});
