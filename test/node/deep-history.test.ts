/** A history deeper than one read: those that return at once to a node without the room share the reads. */
import { describe, expect, it } from 'vitest';
import { World } from '../support/world.ts';

const MESSAGES = 2_000;
const RETURNING = 20;

describe('members that missed more than one read holds', () => {
  it('share the reads of a node that did not have their room', async () => {
    const world = new World({
      rule: { history: { messages: 10_000, ageMs: 60_000 } },
      maxBackpressure: 1_000_000,
    });
    const [here, there] = [await world.node(), await world.node()];
    const publisher = here.client('pub');
    for (let n = 1; n <= MESSAGES; n++) {
      publisher.publish(n);
      await world.settle();
    }
    const returning = Array.from({ length: RETURNING }, (_, i) => there.client(`user${i}`));
    for (const client of returning) client.joinSince(1);
    await world.settle();
    await world.pass(5_000);
    for (const client of returning) {
      expect(client.brokenPromises()).toEqual([]);
      expect(client.told().endsWith(` ${MESSAGES}`)).toBe(true);
    }
    // Four of 500 messages, and no more than one by which each part ends.
    expect(there.port.counts.pages).toBeLessThanOrEqual(5);
    expect(there.metrics.recovery.gaps).toBe(0);
  });
});
