/** What nodes may hold, and what is a leak. */
import { expect, test } from 'vitest';
import { checkMemoryLeft, noteFreshNode } from './world/memory-checks.ts';
import { act, inWorld, pass } from './world/scenario.ts';

const FOR_MS = 5_000;

test.each([
  ['may be held for a round of sweeps', 0, false],
  ['may not be held for longer', 80_000, true],
])('what a node knows of old tokens that were revoked %s after that ended', (_, earlierMs, isLeak) =>
  inWorld((world) => {
    noteFreshNode(world);
    const ann = world.addClient();
    act(world, ann, () => ann.close());
    const node = world.running[0]!;
    const { nowMs } = world.loop;
    const subject = { kind: 'user', id: 'user-1', issuedBeforeMs: Date.now() } as const;
    world.loop.as(node.owner, () => void node.core.node.server.revoke(subject, FOR_MS));
    const untilMs = nowMs + FOR_MS - earlierMs;
    world.revoked.push({ ...subject, sinceMs: nowMs, untilMs, isDoubtful: false });
    pass(world, FOR_MS + 1_000);
    checkMemoryLeft(world, 0);
    const found = world.violations.filter((violation) =>
      violation.includes('DenialTable.#oldTokens holds 2'),
    );
    // Each node has it.
    expect(found).toHaveLength(isLeak ? 2 : 0);
  }),
);
