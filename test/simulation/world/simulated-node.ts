/** One life of a node: all of it but the network and the process that it runs in. */
import { createNodeCore, type NodeCore } from '../../../src/assembly/node-core.ts';
import { ALL_PERMITTED, type Authenticator, AuthFailure, type Identity } from '../../../src/auth/identity.ts';
import { refusalOf } from '../../../src/auth/refusal.ts';
import { RedisBackplane } from '../../../src/backplane/redis/redis-backplane.ts';
import type { Config } from '../../../src/config/config.ts';
import { Drain } from '../../../src/node/drain.ts';
import { chooseSubprotocol } from '../../../src/protocol/subprotocol.ts';
import { silentLog } from '../../../src/util/log.ts';
import { systemScheduler } from '../../../src/util/scheduler.ts';
import type { Owner } from './loop.ts';
import { NodeSocket, type SocketEvents, Topics, type WebSocketLink } from './web-socket-link.ts';

const DRAIN_STEP_MS = 20;
/** A check of a token takes as long at most. */
const KEYS_MS = 250;

export interface SimulatedNodeParts {
  readonly owner: Owner;
  readonly config: Config;
  /** Something that a node logs as an error: a mistake of its own. */
  readonly complain: (what: string) => void;
}

/** Made, and called, by tasks of its owner. */
export class SimulatedNode {
  readonly owner: Owner;
  readonly topics = new Topics();
  readonly core: NodeCore;
  readonly #config: Config;
  readonly #events: SocketEvents;
  readonly #complain: (what: string) => void;
  state: 'starting' | 'running' | 'draining' | 'stopped' | 'failed' = 'starting';
  /** Why it did not start. */
  problem: unknown = null;
  mostBuffered = 0;
  /** What it logged as warnings. */
  readonly warnings = new Set<string>();

  constructor({ owner, config, complain }: SimulatedNodeParts) {
    this.owner = owner;
    this.#config = config;
    this.#complain = complain;
    const log = {
      ...silentLog,
      warn: (_fields: object, text: string) => void this.warnings.add(text),
      error: (fields: object, text: string) => complain(`${text} ${shownFields(fields)}`),
    };
    const { redis, presence, dedupWindowMs, metaTtlMs, acks } = config;
    const { url, tls: _tls, ...rest } = redis;
    this.core = createNodeCore(config, {
      sockets: this.topics,
      scheduler: systemScheduler,
      authenticator: TOKENS,
      backplane: (nodeId, metrics) =>
        new RedisBackplane({
          ...rest,
          url: url ?? '',
          nodeId,
          dedupWindowMs,
          metaTtlMs,
          acksTtlMs: acks.ttlMs,
          leaseMs: presence.leaseMs,
          clock: systemScheduler,
          metrics,
          log,
        }),
      log,
    });
    const { node, connections } = this.core;
    this.#events = {
      message: (connection, message, isBinary) => connections.message(connection, message, isBinary),
      ponged: (connection) => connections.ponged(connection),
      dropped: (connection, message) => node.dropped(connection, message),
      drained: (connection) => node.drained(connection),
      closed: (connection, code) => connections.closed(connection, code),
    };
    owner.afterTask = () => this.topics.drain();
  }

  async start(): Promise<void> {
    try {
      await this.core.node.start();
      this.core.heartbeats.start();
      this.state = 'running';
    } catch (error) {
      this.problem = error;
      this.state = 'failed';
      this.core.heartbeats.stop();
      await this.core.node.close().catch((problem: unknown) => this.#complain(`close failed: ${problem}`));
    }
  }

  /** As a node that is told to stop. */
  async stop(windowMs: number): Promise<void> {
    if (this.state !== 'running') return;
    this.state = 'draining';
    const { node, heartbeats } = this.core;
    const drain = new Drain(node.hub.connections(), systemScheduler.nowMs(), {
      windowMs,
      random: Math.random,
    });
    await new Promise<void>((resolve) => {
      const timer = systemScheduler.every(DRAIN_STEP_MS, () => {
        if (!drain.step(systemScheduler.nowMs())) return;
        timer.cancel();
        resolve();
      });
    });
    heartbeats.stop();
    await node.close();
    this.state = 'stopped';
  }

  /** A WebSocket is opened. */
  knocked(link: WebSocketLink): void {
    const { url, protocols } = link.socket;
    if (this.state !== 'running') return link.refuse('503');
    const chosen = chooseSubprotocol(protocols);
    if (chosen === null) return link.refuse('400');
    const token = new URL(url).searchParams.get('token') || null;
    if (token === null) return this.#open(link, chosen, null, null);
    this.core.authenticator?.authenticate(token, null).then(
      (identity) => this.#open(link, chosen, identity, null),
      (error: unknown) => this.#open(link, chosen, null, refusalOf(error, silentLog)),
    );
  }

  #open(
    link: WebSocketLink,
    { encoding, subprotocol }: NonNullable<ReturnType<typeof chooseSubprotocol>>,
    identity: Identity | null,
    refusal: ReturnType<typeof refusalOf> | null,
  ): void {
    if (link.isCut) return;
    if (this.state !== 'running') return link.refuse('503');
    const { backpressureBytes } = this.#config.websocket;
    const socket = new NodeSocket(link, this.topics, encoding === 'msgpack', backpressureBytes, this.#events);
    link.accept(socket, subprotocol ?? '');
    this.core.connections.open(socket, encoding, identity, refusal, (connection) => {
      socket.connection = connection;
    });
  }
}

function shownFields(fields: object): string {
  const error = (fields as { error?: unknown }).error;
  return error instanceof Error ? (error.stack ?? String(error)) : JSON.stringify(fields);
}

/** A token is a user, when it expires and when it was issued, in ms since the Unix epoch, and its id: `user~expires~t<id>~i<issued>`. */
const TOKENS: Authenticator = {
  async authenticate(token) {
    // Mostly the keys are there; else they are fetched.
    if (Math.random() < 0.4)
      await new Promise<void>((known) => systemScheduler.after(KEYS_MS * Math.random(), known));
    const [user = '', expires = '', id = '', issued = ''] = token.split('~');
    const expiresAtMs = expires === '' ? null : Number(expires);
    if (expiresAtMs !== null && expiresAtMs < Date.now())
      throw new AuthFailure('token_expired', 'the token has expired');
    const [tokenId, issuedAtMs] = [id.slice(1), Number(issued.slice(1))];
    return { user, expiresAtMs, tokenId, issuedAtMs, permissions: ALL_PERMITTED, info: { name: user } };
  },
};
