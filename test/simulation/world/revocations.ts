/** The server API revokes users and tokens for a while, and disconnects users. */
import type { Random } from '../../support/random.ts';
import type { SimulatedNode } from './simulated-node.ts';
import type { Steady } from './steady.ts';
import type { Revoked, World } from './world.ts';

/** Clients of a user who is revoked stop, and are back some seconds later. */
const USER_MS = 20_000;
const TOKEN_MS = 90_000;

/** One of those that have a connection there. */
export function revoke(world: World, node: SimulatedNode, random: Random): void {
  const { identity } = random.pick([...node.core.node.hub.connections()]) ?? {};
  if (!identity) return;
  const { user, tokenId } = identity;
  const chance = random.next();
  if (chance < 0.5 && tokenId !== undefined)
    return send(world, node, { kind: 'token', id: tokenId }, TOKEN_MS);
  if (chance < 0.7) return send(world, node, { kind: 'user', id: user }, USER_MS * (0.5 + random.next()));
  send(world, node, { kind: 'user', id: user, issuedBeforeMs: Date.now() }, TOKEN_MS);
}

type Subject = Pick<Revoked, 'kind' | 'id' | 'issuedBeforeMs'>;

function send(world: World, { owner, core }: SimulatedNode, subject: Subject, forMs: number): void {
  const { nowMs } = world.loop;
  const revoked: Revoked = { ...subject, sinceMs: nowMs, untilMs: nowMs + forMs, isDoubtful: true };
  world.revoked.push(revoked);
  world.count('revoked');
  const { kind, id, issuedBeforeMs } = subject;
  world.trace(
    `${owner.name} revokes ${kind} ${id}${issuedBeforeMs === undefined ? '' : ', older tokens'} for ${forMs} ms`,
  );
  core.node.server.revoke(subject, Math.ceil(forMs)).then(
    () => {
      revoked.isDoubtful = false;
    },
    () => undefined,
  );
}

/** Ends one before its time. */
export function endRevocation(world: World, { core }: SimulatedNode, random: Random): void {
  const { nowMs } = world.loop;
  const revoked = random.pick(world.revoked.filter(({ untilMs }) => untilMs > nowMs));
  if (revoked === undefined) return;
  revoked.untilMs = nowMs;
  world.trace(`the revocation of ${revoked.kind} ${revoked.id} ends`);
  const { kind, id } = revoked;
  // All of a user end together.
  for (const one of world.revoked)
    if (one.kind === kind && one.id === id) one.untilMs = Math.min(one.untilMs, nowMs);
  core.node.server.endRevocation({ kind, id }).catch(() => undefined);
}

export function disconnectUser(world: World, { core }: SimulatedNode, random: Random): void {
  const user = `user-${random.whole(0, 4)}`;
  world.count('disconnected users');
  world.trace(`the server disconnects ${user}`);
  core.node.server.disconnectUser(user).catch(() => undefined);
}

/** Nodes drop what has ended once in a minute, and a clock that was set may make it longer. */
const KEPT_MS = 75_000;

/** Those that nodes may still hold. */
export function recentlyRevoked({ revoked, loop }: World): readonly Revoked[] {
  return revoked.filter(({ untilMs }) => untilMs > loop.nowMs - KEPT_MS);
}

/** A node without trouble knows of it after this: it may have been deaf for the message before. */
const HEARD_AFTER_MS = 10_000;
const STEADY_MS = 5_000;

/** On nodes without trouble nobody has a connection whose user or token is revoked. */
export function lookForRevoked(world: World, steady: Steady): void {
  if (world.forgot(null)) return;
  const { nowMs } = world.loop;
  const known = world.revoked.filter(
    ({ isDoubtful, sinceMs, untilMs }) =>
      !isDoubtful && sinceMs < nowMs - HEARD_AFTER_MS && untilMs > nowMs + STEADY_MS,
  );
  if (known.length === 0) return;
  for (const node of world.running) {
    if (steady.ofNode(node) < STEADY_MS) continue;
    for (const { id, identity } of node.core.node.hub.connections()) {
      const revoked = identity === null ? undefined : known.find((one) => isOf(one, identity));
      if (revoked !== undefined)
        world.violation(`${node.owner.name} serves ${id}, whose ${revoked.kind} ${revoked.id} is revoked`);
    }
  }
}

interface Bearer {
  readonly user: string;
  readonly tokenId?: string;
  readonly issuedAtMs?: number;
}

function isOf({ kind, id, issuedBeforeMs }: Revoked, { user, tokenId, issuedAtMs = 0 }: Bearer): boolean {
  if (kind === 'token') return tokenId === id;
  return user === id && (issuedBeforeMs === undefined || issuedAtMs < issuedBeforeMs);
}
