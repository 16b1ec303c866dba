/** The promises of PROTOCOL.md, as what must be true of a world. */
import { check } from '../../support/checker.ts';
import type { MemberLog } from '../../support/member-log.ts';
import type { Acknowledged } from '../../support/returning-client.ts';
import type { Keyspace } from '../redis/keyspace.ts';
import { noteOwn } from './own-checks.ts';
import type { Stay } from './simulated-client.ts';
import { NAMES, ROOMS, shownTasks, type World } from './world.ts';

/** Faults are over and everybody had time: all are connected, are where they want to be, and see the same members. */
export function checkCalm(world: World): void {
  for (const node of world.nodes) {
    if (node?.state !== 'running')
      world.violation(`${node?.owner.name} does not run after the calm: ${node?.state}`);
    else {
      const { ready, reason } = node.core.node.status();
      if (!ready) world.violation(`${node.owner.name} is not ready after the calm: ${reason}`);
    }
  }
  for (const client of world.clients.filter(({ isOver }) => !isOver)) {
    const { status } = client.client;
    if (status.state !== 'connected') {
      world.violation(`${client.owner.name} is not connected after the calm: ${JSON.stringify(status)}`);
      continue;
    }
    for (const room of client.rooms) {
      const state = client.room(room)?.state;
      if (state !== 'joined') world.violation(`${client.owner.name} is ${state} in ${room} after the calm`);
    }
    for (const { room, payload, end } of client.outcomes) {
      if (end === null)
        world.violation(
          `message ${payload} of ${client.owner.name} to ${room} is not settled after the calm`,
        );
    }
  }
  for (const room of ROOMS) checkPresence(world, room);
}

function checkPresence(world: World, room: string): void {
  const members = world.clients.filter((client) => client.isIn(room));
  const expected = shown(members.map((client) => [client.connection, client.presenceIn(room)]));
  for (const client of members) {
    const list = client.room(room)?.members;
    const isLarge = members.length > world.settings.detailedMembers && list?.partial === true;
    const seen = shown((list?.members ?? []).map(({ connection, data }) => [connection, data]));
    if (!isLarge && seen !== expected) {
      world.violation(
        `${client.owner.name} sees the members of ${room} as ${seen}, and there are ${expected}`,
      );
    } else if (list?.count !== members.length) {
      world.violation(
        `${client.owner.name} counts ${list?.count} members in ${room}, and there are ${members.length}`,
      );
    }
  }
  const stored = [...storedMembers(world, room)].sort().join(' ');
  const there = members
    .map(({ connection }) => connection)
    .sort()
    .join(' ');
  if (stored !== there)
    world.violation(`Redis has ${stored || 'nobody'} in ${room}, and there are ${there || 'nobody'}`);
}

function shown(members: readonly (readonly [connection: string, data: unknown])[]): string {
  return members
    .map(([connection, data]) => `${connection}=${JSON.stringify(data ?? null)}`)
    .sort()
    .join(' ');
}

function storedMembers(world: World, room: string): IterableIterator<string> {
  const key = NAMES.presence(room);
  const found = world.keysWith(key);
  const hash = found?.keys.hash(key, found.nowMs);
  return (hash?.fields ?? new Map<string, never>()).keys();
}

/** Order, once, nothing acknowledged lost without a word, in all rooms that keep messages. */
export function checkMessages(world: World): void {
  for (const client of world.clients) noteOwn(world, client);
  for (const room of ROOMS) {
    const stays = world.clients.flatMap((client) => client.stays.filter(({ log }) => log.room === room));
    if (room.startsWith('live:')) {
      for (const { log } of stays) checkUnnumbered(world, log);
      continue;
    }
    const acknowledged = [
      ...world.clients.flatMap((client) => client.acknowledged),
      ...world.fromServer,
    ].filter((one) => one.room === room);
    const { faults, gaps, resets } = check(
      acknowledged,
      stays.map(({ log }) => log),
    );
    world.count('gaps', gaps);
    world.count('resets', resets);
    for (const { kind, text } of faults) if (kind !== 'lost') world.violation(`${kind}: ${text}`);
    for (const stay of stays) checkLoss(world, stay, acknowledged);
  }
  for (const client of world.clients) {
    for (const { room, payload, end, why } of client.outcomes) {
      if (end === null)
        world.violation(`message ${payload} of ${client.owner.name} to ${room} is not settled`);
      if (end === 'unknown' || end === 'refused') world.trace(`message ${payload} to ${room}: ${why}`);
      world.count(`publish ${end}`);
    }
  }
}

/** Nobody is owed what was sent when they were not there, in a numbering that they never saw. */
function checkLoss(
  world: World,
  { log, fromMs, untilMs }: Stay,
  acknowledged: readonly Acknowledged[],
): void {
  const epochs = new Set(log.marks.flatMap(({ event }) => ('epoch' in event ? [event.epoch] : [])));
  const owed = acknowledged.filter(
    ({ epoch, sentAtMs, ackedAtMs }) => epochs.has(epoch) || (sentAtMs > fromMs && ackedAtMs < untilMs),
  );
  for (const { kind, text } of check(owed, [log]).faults)
    if (kind === 'lost') world.violation(`${kind}: ${text}`);
}

function checkUnnumbered(world: World, log: MemberLog): void {
  const seen = new Set<number>();
  for (const [at, payload] of log.payloads.entries()) {
    // A join may ask for the newest messages, and get those that it had.
    if (log.marks.some((mark) => mark.at === at && mark.event.kind === 'joined')) seen.clear();
    // Where Redis forgot the key of a message, a retry stores it again.
    if (seen.has(payload) && !world.forgot(log.room))
      world.violation(`repeated: ${log.name} in ${log.room}: message ${payload}`);
    seen.add(payload);
  }
}

/** Everybody left: nothing is left behind. */
export function checkEnd(world: World): void {
  for (const client of world.clients) {
    const left = world.loop.pendingOf(client.owner);
    if (left.length > 0) world.violation(`${client.owner.name} is closed and left ${shownTasks(left)}`);
  }
  for (const node of world.lives) {
    if (node.owner.isDead) continue;
    const { connectionCount } = node.core.node.hub;
    if (node.state !== 'stopped' && node.state !== 'failed') {
      world.violation(`${node.owner.name} is ${node.state} at the end`);
    }
    if (connectionCount > 0) world.violation(`${node.owner.name} still has ${connectionCount} connections`);
  }
  for (const { redis, owner } of world.stores) {
    if (redis.connections.length === 0) continue;
    const names = redis.connections.map(({ name }) => name).join(' ');
    world.violation(`${owner.name} still has connections: ${names}`);
  }
}

/** All but one node stopped: it alone has a lease, and nobody is in a room. */
export function checkSwept(world: World): void {
  const left = world.running.map((node) => node.core.node.nodeId);
  for (const { owner, core } of world.running) {
    const rooms = [...core.node.hub.rooms()].map(({ name }) => name);
    if (rooms.length > 0)
      world.violation(`${owner.name} has nobody and still has the rooms ${rooms.join(' ')}`);
  }
  for (const { redis, owner } of world.stores) checkKeys(world, redis.keys, world.loop.wallMsOf(owner), left);
}

function checkKeys(world: World, keys: Keyspace, nowMs: number, left: readonly string[]): void {
  for (const key of [...keys.names()]) {
    if (key.endsWith(':leases')) {
      for (const node of keys.hash(key, nowMs)?.fields.keys() ?? []) {
        if (!left.includes(node)) world.violation(`the lease of ${node} is left in Redis`);
      }
    } else if (/:(pres|presu|preso):/.test(key) && keys.entry(key, nowMs))
      world.violation(`${key} is left in Redis`);
    else if (/:rooms:/.test(key) && !left.some((node) => key.endsWith(node)))
      world.violation(`${key} is left in Redis`);
  }
}
