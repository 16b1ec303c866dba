/** What Sentinels say of the primary that they watch, as plain facts: for the start of a node, and for deployment checks. */
import type { ConnectionOptions } from 'node:tls';
import type { Redis } from 'ioredis';
import { type SentinelGroup, shownAddress } from '../../../util/redis-url.ts';
import { onTrial } from '../link/server-options.ts';

export interface InspectSentinelsOptions {
  readonly group: SentinelGroup;
  readonly tls?: ConnectionOptions | undefined;
  /** For connecting, and for each answer. */
  readonly timeoutMs: number;
}

/** A server, as a Sentinel sees it. */
export interface WatchedServer {
  readonly host: string;
  readonly port: number;
  /** Such as `master`, `slave`, `s_down`, `o_down`, `disconnected`. */
  readonly flags: readonly string[];
}

export interface WatchedReplica extends WatchedServer {
  /** Host and port of the server that it follows. Null: the Sentinel has not heard yet. */
  readonly follows: string | null;
  readonly isLinkUp: boolean;
}

export interface WatchedPrimary extends WatchedServer {
  /** Since when this Sentinel takes it for the primary: since its start, or the last failover. Null where it refuses to tell. */
  readonly watchedForMs: number | null;
  /** How many Sentinels must find it down before one of them may promote a replica. */
  readonly quorum: number;
  /** That it knows of, itself included. */
  readonly knownSentinels: number;
  /** Null where it refuses to tell. */
  readonly replicas: readonly WatchedReplica[] | null;
  /** Why the Sentinels could not promote a replica now, in the words of this one. Null: they could, or it refuses to tell. */
  readonly quorumProblem: string | null;
}

export interface SentinelFacts {
  /** Host and port. */
  readonly address: string;
  /** The error by which it did not answer. */
  readonly found:
    | Error
    | {
        /** Null: it knows none by this name. */
        readonly primary: WatchedPrimary | null;
        /** The names that it does know. Empty where it refuses to tell. */
        readonly names: readonly string[];
        /** A password is given, and it requires none. */
        readonly ignoresPassword: boolean;
      };
}

/** Asks each Sentinel. Never rejects: that one does not answer is a fact too. */
export function inspectSentinels(options: InspectSentinelsOptions): Promise<SentinelFacts[]> {
  const { group, tls, timeoutMs } = options;
  return Promise.all(
    group.addresses.map(async (address) => ({
      address: shownAddress(address),
      found: await onTrial({ address, tls, timeoutMs }, async (sentinel, { isNeedless }) => ({
        ...(await ask(sentinel, group.name)),
        ignoresPassword: isNeedless,
      })).catch((error: Error) => error),
    })),
  );
}

/** What a Sentinel knows of the primary: where it is. */
export function addressOfPrimary({ found }: SentinelFacts): string | null {
  if (found instanceof Error || found.primary === null) return null;
  return shownAddress(found.primary);
}

type Known = Omit<Exclude<SentinelFacts['found'], Error>, 'ignoresPassword'>;

async function ask(sentinel: Redis, name: string): Promise<Known> {
  // What every user of Sentinels may ask, and all that is asked of them while a node runs.
  const place = await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name);
  if (!Array.isArray(place)) return { primary: null, names: await namesOf(sentinel) };
  const state = fieldsOf(await sentinel.call('SENTINEL', 'MASTER', name).catch(refused));
  const replicas = await sentinel.call('SENTINEL', 'REPLICAS', name).catch(refused);
  const quorum = await sentinel.call('SENTINEL', 'CKQUORUM', name).catch((error: Error) => error);
  const primary: WatchedPrimary = {
    host: String(place[0]),
    port: Number(place[1]),
    flags: flagsOf(state),
    watchedForMs: state.has('role-reported-time') ? Number(state.get('role-reported-time')) : null,
    quorum: Number(state.get('quorum') ?? 0),
    knownSentinels: Number(state.get('num-other-sentinels') ?? 0) + 1,
    replicas: Array.isArray(replicas) ? replicas.map((one) => replicaOf(fieldsOf(one))) : null,
    quorumProblem: quorum instanceof Error && /^NOQUORUM/.test(quorum.message) ? quorum.message : null,
  };
  return { primary, names: [name] };
}

async function namesOf(sentinel: Redis): Promise<readonly string[]> {
  const masters = await sentinel.call('SENTINEL', 'MASTERS').catch(refused);
  return Array.isArray(masters) ? masters.map((one) => fieldsOf(one).get('name') ?? '') : [];
}

/** A reply that starts with a code in capitals is a refusal; anything else is a lost connection. */
function refused(error: Error): null {
  if (/^[A-Z]+ /.test(error.message)) return null;
  throw error;
}

/** From `['name', 'chat', 'ip', '10.0.0.1', …]`. */
function fieldsOf(reply: unknown): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  if (!Array.isArray(reply)) return fields;
  for (let i = 0; i + 1 < reply.length; i += 2) fields.set(String(reply[i]), String(reply[i + 1]));
  return fields;
}

function flagsOf(fields: ReadonlyMap<string, string>): readonly string[] {
  return (fields.get('flags') ?? '').split(',').filter((flag) => flag !== '');
}

function replicaOf(fields: ReadonlyMap<string, string>): WatchedReplica {
  const masterHost = fields.get('master-host') ?? '?';
  return {
    host: fields.get('ip') ?? '',
    port: Number(fields.get('port')),
    flags: flagsOf(fields),
    follows: masterHost === '?' ? null : `${masterHost}:${fields.get('master-port')}`,
    isLinkUp: fields.get('master-link-status') === 'ok',
  };
}
