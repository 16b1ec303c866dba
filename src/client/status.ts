/** What the client is doing, as one immutable value that is replaced whole: it fits React's `useSyncExternalStore`. */

export type TransportName = 'websocket' | 'sse';

interface Common {
  readonly transport: TransportName;
}

/** Nothing was asked of the client yet. */
export interface IdleStatus extends Common {
  readonly state: 'idle';
}
export interface ConnectingStatus extends Common {
  readonly state: 'connecting';
  /** 1 for the first attempt since the last good connection. */
  readonly attempt: number;
}
export interface ConnectedStatus extends Common {
  readonly state: 'connected';
  /** Ids of this connection and its node. */
  readonly connection: string;
  readonly node: string;
  /** Null for an anonymous connection. */
  readonly user: string | null;
}
/** There is no connection; the next attempt comes by itself. */
export interface WaitingStatus extends Common {
  readonly state: 'waiting';
  /** Attempts since the last good connection. */
  readonly attempt: number;
  /** Why the last attempt or connection ended. */
  readonly reason: string;
  /** When the next attempt comes, in milliseconds since the Unix epoch. */
  readonly retryAtMs: number;
}
/** For good: nothing reconnects. */
export interface ClosedStatus extends Common {
  readonly state: 'closed';
  readonly reason: string;
  /** The close code of the node that ended it; null where the client did. */
  readonly code: number | null;
}

export type ClientStatus = IdleStatus | ConnectingStatus | ConnectedStatus | WaitingStatus | ClosedStatus;
export type ClientState = ClientStatus['state'];

/** What changes with the state; the transport is told by whoever knows it. */
export type StatusChange = ClientStatus extends infer S
  ? S extends Common
    ? Omit<S, 'transport'>
    : never
  : never;
