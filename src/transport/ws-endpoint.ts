import { Connection } from '../connection/connection.ts';
import type { ConnectionContext } from '../connection/context.ts';
import type { Heartbeats } from '../connection/heartbeats.ts';
import type { BrokerNode } from '../node/broker-node.ts';
import { jsonCodec, msgpackCodec } from '../protocol/codec.ts';
import { CLOSE } from '../protocol/codes.ts';
import { type UpgradeOptions, upgradeHandler } from './upgrade.ts';
import { uws, type WebSocketBehavior } from './uws.ts';
import type { SocketData } from './ws-socket.ts';

export interface WsEndpointOptions extends Omit<UpgradeOptions, 'metrics' | 'log'> {
  /** Bytes that may wait in this process for one socket. */
  readonly backpressureBytes: number;
  /** How long a connection may stay without a token where one is asked for. */
  readonly authTimeoutMs: number;
}

export interface WsEndpointParts {
  readonly node: BrokerNode;
  readonly context: ConnectionContext<Connection>;
  readonly heartbeats: Heartbeats<Connection>;
}

/**
 * uWebSockets.js drops the socket without a close frame when a message is over its own limit, so that limit lies above
 * ours by this much: what is between the two is answered with 1009, as the protocol says.
 */
const OVERSIZE_BYTES = 1024 * 1024;

/** The `/ws` endpoint: opens a connection for each socket and passes on what happens to it. */
export function wsBehavior(
  options: WsEndpointOptions,
  { node, context, heartbeats }: WsEndpointParts,
): WebSocketBehavior<SocketData> {
  const { metrics, log, maxPayloadBytes } = context;
  let lastNumber = 0;
  return {
    maxPayloadLength: maxPayloadBytes + OVERSIZE_BYTES,
    maxBackpressure: options.backpressureBytes,
    closeOnBackpressureLimit: false,
    compression: uws.DISABLED,
    // Heartbeats are ours: one timer, spread over slots, with round trips.
    idleTimeout: 0,
    sendPingsAutomatically: false,
    upgrade: upgradeHandler({ ...options, metrics, log }),

    open(ws) {
      const { socket } = ws.getUserData();
      socket.opened(ws);
      const codec = socket.isBinary ? msgpackCodec : jsonCodec;
      const connection = new Connection(++lastNumber, socket, codec, socket.identity, context);
      socket.connection = connection;
      metrics.connections.opened[codec.encoding]++;
      heartbeats.add(connection);
      node.connected(connection);
      if (connection.awaitsAuth) closeUnlessIdentified(connection, options.authTimeoutMs);
      else connection.welcome();
    },

    message(ws, message, isBinary) {
      const { connection } = ws.getUserData().socket;
      if (!connection) return;
      heartbeats.heard(connection);
      if (message.byteLength > maxPayloadBytes) connection.close(CLOSE.tooLarge);
      else connection.receive(new Uint8Array(message), isBinary);
    },

    dropped(ws, message) {
      const { connection } = ws.getUserData().socket;
      if (connection) node.dropped(connection, new Uint8Array(message));
    },

    drain(ws) {
      const { connection } = ws.getUserData().socket;
      if (connection) node.drained(connection);
    },

    pong(ws) {
      const { connection } = ws.getUserData().socket;
      if (connection) heartbeats.ponged(connection);
    },

    close(ws, code) {
      const { socket } = ws.getUserData();
      socket.closed();
      metrics.connections.countClose(code);
      const { connection } = socket;
      if (!connection) return;
      heartbeats.remove(connection);
      connection.closed();
      node.disconnected(connection);
    },
  };
}

function closeUnlessIdentified(connection: Connection, timeoutMs: number): void {
  const timer = setTimeout(() => {
    if (!connection.isOpen || !connection.awaitsAuth) return;
    connection.fail(0, 'unauthorized', 'no token was presented in time');
    connection.close(CLOSE.unauthorized);
  }, timeoutMs);
  timer.unref();
}
