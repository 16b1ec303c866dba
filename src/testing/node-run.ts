import { createNodeCore, type NodeCore } from '../assembly/node-core.ts';
import type { Authenticator, Identity } from '../auth/identity.ts';
import { type AuthRefusal, refusalOf } from '../auth/refusal.ts';
import { MemoryBackplane, type MemoryStore } from '../backplane/memory/memory-backplane.ts';
import type { Config } from '../config/config.ts';
import { TopicList } from '../connection/topic-list.ts';
import type { BrokerNode } from '../node/broker-node.ts';
import { Drain } from '../node/drain.ts';
import { type ChosenSubprotocol, chooseSubprotocol, SUBPROTOCOL } from '../protocol/subprotocol.ts';
import type { Logger } from '../util/log.ts';
import type { Cable, Handshake } from './cable.ts';
import type { TestClock } from './test-clock.ts';
import { type SocketEvents, TestSocket } from './test-socket.ts';

export interface NodeRunParts {
  readonly config: Config;
  readonly clock: TestClock;
  readonly authenticator: Authenticator | null;
  /** What outlives the node. */
  readonly store: MemoryStore;
  readonly log: Logger;
}

/** One life of the node of a test broker: from its start to its end, or to a restart. */
export class NodeRun {
  readonly #parts: NodeRunParts;
  readonly #core: NodeCore;
  readonly #topics = new TopicList<TestSocket>();
  readonly #events: SocketEvents;
  #isStopping = false;

  constructor(parts: NodeRunParts) {
    const { config, clock, authenticator, store, log } = parts;
    const { dedupWindowMs, metaTtlMs, acks } = config;
    const times = { dedupWindowMs, metaTtlMs, acksTtlMs: acks.ttlMs };
    this.#parts = parts;
    this.#core = createNodeCore(config, {
      sockets: this.#topics,
      scheduler: clock,
      authenticator,
      backplane: (nodeId) => new MemoryBackplane({ nodeId, clock, scheduler: clock, store, ...times }),
      log,
    });
    const { node, connections } = this.#core;
    this.#events = {
      message: (connection, message, isBinary) => connections.message(connection, message, isBinary),
      ponged: (connection) => connections.ponged(connection),
      dropped: (connection, message) => node.dropped(connection, message),
      drained: (connection) => node.drained(connection),
      closed: (connection, code) => connections.closed(connection, code),
    };
  }

  get node(): BrokerNode {
    return this.#core.node;
  }

  async start(): Promise<void> {
    await this.#core.node.start();
    this.#core.heartbeats.start();
  }

  /** As a node that is told to stop: `bye` to every connection, close 1012 when its publishes are answered. */
  async stop(): Promise<void> {
    const { clock } = this.#parts;
    this.#isStopping = true;
    const { node, heartbeats } = this.#core;
    const drain = new Drain(node.hub.connections(), clock.nowMs(), { windowMs: 0, random: clock.random });
    while (!drain.step(clock.nowMs())) await clock.turn();
    heartbeats.stop();
    await node.close();
  }

  /** Somebody opens a WebSocket: the same decisions as at an upgrade. */
  connect(cable: Cable, { url, protocols }: Handshake): void {
    const { config, clock, log } = this.#parts;
    const { authenticator } = this.#core;
    if (this.#isStopping) return cable.refuse('the node is shutting down');
    if (url.pathname !== config.websocket.path) {
      return cable.refuse(`the WebSocket endpoint is ${config.websocket.path}, not ${url.pathname}`);
    }
    const chosen = chooseSubprotocol(protocols.join(', '));
    if (chosen === null) {
      const known = Object.values(SUBPROTOCOL).join(' or ');
      return cable.refuse(`offer the subprotocol ${known}, or none: got ${protocols.join(', ')}`);
    }
    const token = url.searchParams.get('token') || null;
    if (authenticator === null || token === null) return this.#open(cable, chosen, null, null);
    void clock.track(
      authenticator.authenticate(token).then(
        (identity) => this.#open(cable, chosen, identity, null),
        (error: unknown) => this.#open(cable, chosen, null, refusalOf(error, log)),
      ),
    );
  }

  #open(
    cable: Cable,
    { encoding, subprotocol }: ChosenSubprotocol,
    identity: Identity | null,
    refusal: AuthRefusal | null,
  ): void {
    // While the token was being checked, either may have left.
    if (this.#isStopping) cable.refuse('the node is shutting down');
    if (this.#isStopping || cable.isOver) return;
    const socket = new TestSocket({
      cable,
      isBinary: encoding === 'msgpack',
      topics: this.#topics,
      backpressureBytes: this.#parts.config.websocket.backpressureBytes,
      events: this.#events,
    });
    cable.accept(socket, subprotocol ?? '');
    this.#core.connections.open(socket, encoding, identity, refusal, (connection) => {
      socket.connection = connection;
    });
  }
}
