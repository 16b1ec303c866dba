import type { AuthRefusal } from '../auth/refusal.ts';
import { Connection } from '../connection/connection.ts';
import type { ConnectionContext } from '../connection/context.ts';
import type { Heartbeats } from '../connection/heartbeats.ts';
import type { BrokerNode } from '../node/broker-node.ts';
import { jsonCodec, msgpackCodec } from '../protocol/codec.ts';
import { CLOSE } from '../protocol/codes.ts';
import { OVERSIZE_BYTES } from './capacity.ts';
import type { Descriptors } from './descriptors.ts';
import type { PendingAuth } from './pending-auth.ts';
import { type UpgradeOptions, upgradeHandler } from './upgrade.ts';
import { uws, type WebSocketBehavior } from './uws.ts';
import type { SocketData } from './ws-socket.ts';

export interface WsEndpointOptions extends Omit<UpgradeOptions, 'mustAuthenticate' | 'metrics' | 'log'> {
  /** Bytes that may wait in this process for one socket. */
  readonly backpressureBytes: number;
  /** Connections without a token, when tokens are required. */
  readonly pendingAuth: PendingAuth;
  readonly descriptors: Descriptors;
}

export interface WsEndpointParts {
  readonly node: BrokerNode;
  readonly context: ConnectionContext<Connection>;
  readonly heartbeats: Heartbeats<Connection>;
}

/** The `/ws` endpoint: opens a connection for each socket and passes on its events. */
export function wsBehavior(
  options: WsEndpointOptions,
  parts: WsEndpointParts,
): WebSocketBehavior<SocketData> {
  const { context } = parts;
  const { mustAuthenticate, metrics, log, maxPayloadBytes } = context;
  return {
    maxPayloadLength: maxPayloadBytes + OVERSIZE_BYTES,
    maxBackpressure: options.backpressureBytes,
    closeOnBackpressureLimit: false,
    compression: uws.DISABLED,
    // Heartbeats are ours: one timer, spread over slots, with round trips.
    idleTimeout: 0,
    sendPingsAutomatically: false,
    upgrade: upgradeHandler({ ...options, mustAuthenticate, metrics, log }),
    ...lifecycle(options, parts),
    ...traffic(parts),
  };
}

type Handlers = WebSocketBehavior<SocketData>;

/** A socket comes and goes. */
function lifecycle(
  { admission, descriptors, pendingAuth }: WsEndpointOptions,
  { node, context, heartbeats }: WsEndpointParts,
): Pick<Handlers, 'open' | 'close'> {
  const { metrics } = context;
  let lastNumber = 0;
  return {
    open(ws) {
      const { socket } = ws.getUserData();
      socket.opened(ws);
      const codec = socket.isBinary ? msgpackCodec : jsonCodec;
      const connection = new Connection(++lastNumber, socket, codec, socket.identity, context);
      socket.connection = connection;
      metrics.connections.opened[codec.encoding]++;
      heartbeats.add(connection);
      node.connected(connection);
      if (socket.refusal !== null) turnAway(connection, socket.refusal);
      else if (connection.awaitsAuth) pendingAuth.add(connection);
      else connection.welcome();
    },

    close(ws, code) {
      const { socket } = ws.getUserData();
      socket.closed();
      metrics.connections.countClose(code);
      const { connection } = socket;
      if (connection?.isOpen === false) descriptors.ended();
      else descriptors.closed();
      if (!connection) return;
      heartbeats.remove(connection);
      pendingAuth.remove(connection);
      connection.closed();
      node.disconnected(connection);
      admission.freed();
    },
  };
}

/** What happens to an open socket. */
function traffic({
  node,
  context,
  heartbeats,
}: WsEndpointParts): Pick<Handlers, 'message' | 'dropped' | 'drain' | 'ping' | 'pong'> {
  const { maxPayloadBytes } = context;
  return {
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

    // uWebSockets.js has already answered it.
    ping(ws) {
      const { connection } = ws.getUserData().socket;
      if (!connection) return;
      heartbeats.heard(connection);
      connection.controlFrame();
    },

    pong(ws) {
      const { connection } = ws.getUserData().socket;
      if (!connection) return;
      heartbeats.ponged(connection);
      connection.controlFrame();
    },
  };
}

function turnAway(connection: Connection, { code, message, close, retryAfterMs }: AuthRefusal): void {
  connection.fail(0, code, message, retryAfterMs === null ? undefined : { retryAfterMs });
  connection.close(close);
}
