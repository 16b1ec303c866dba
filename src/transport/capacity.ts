/** How many connections a node takes: the configured number, capped by the limit on open files. */

/** The node's own files: links to Redis, the listener, the event loop, logs. */
const OWN_FILES = 64;
/**
 * Sockets other than WebSockets, such as health checks and HTTP requests: they get through when the node is
 * full.
 */
const HTTP_SHARE = 0.1;
const MIN_HTTP_SOCKETS = 16;
const MAX_HTTP_SOCKETS = 1000;
/** Used if the system sets no limit. */
const UNLIMITED = 1_000_000;
/** Share of all connections that may be without a token at a time. */
const UNAUTHENTICATED_SHARE = 0.1;
const MIN_UNAUTHENTICATED = 100;

/**
 * uWebSockets.js buffers an unfinished message, up to its own limit, and drops the socket without a close
 * frame (1006) for a larger one. That limit is this much above ours, so that a payload just over the size
 * that `hello` promises, with its frame, is answered with 1009.
 */
export const OVERSIZE_BYTES = 4096;

export interface Capacity {
  /** WebSocket connections. */
  readonly connections: number;
  /** Connections among them that have not presented a token yet. */
  readonly unauthenticated: number;
  /** Sockets of any kind. */
  readonly sockets: number;
}

export interface CapacitySettings {
  /** 0: as many as open files allow. */
  readonly maxConnections: number;
  /** 0: a share of the connections. */
  readonly maxUnauthenticated: number;
}

/** `openFiles`: the limit of the process, null if there is none. */
export function capacity(
  { maxConnections, maxUnauthenticated }: CapacitySettings,
  openFiles: number | null,
): Capacity {
  const sockets = openFiles === null ? 2 * UNLIMITED : Math.max(2, openFiles - OWN_FILES);
  const httpSockets = Math.min(
    Math.max(Math.ceil(sockets * HTTP_SHARE), MIN_HTTP_SOCKETS),
    MAX_HTTP_SOCKETS,
    Math.floor(sockets / 2),
  );
  const possible = openFiles === null ? UNLIMITED : sockets - httpSockets;
  const connections = maxConnections === 0 ? possible : Math.min(maxConnections, possible);
  const share = Math.max(MIN_UNAUTHENTICATED, Math.ceil(connections * UNAUTHENTICATED_SHARE));
  return {
    connections,
    unauthenticated: Math.min(connections, maxUnauthenticated === 0 ? share : maxUnauthenticated),
    sockets,
  };
}
