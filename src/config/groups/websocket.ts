/** Settings under `websocket` and `heartbeat`. */
import { z } from 'zod';
import { text, whole } from '../fields.ts';
import { MIB, MINUTE_MS } from './shared.ts';

export const websocket = z.strictObject({
  path: text({
    standard: '/ws',
    pattern: /^\/[\w.~/-]*$/,
    expected: 'a path such as /ws',
    meaning: 'Path of the WebSocket endpoint; must not be the path of an HTTP route',
  }),
  // Far more than chat or game state needs; larger things belong in an object store.
  maxPayloadBytes: whole({
    min: 1024,
    max: 16 * MIB,
    standard: 65_536,
    meaning:
      'Maximum bytes in one WebSocket message from a client; a larger one closes the connection (1009, or 1006 if it is more than 4096 bytes over)',
  }),
  // What a client that stopped reading may cost this process; the kernel holds up to 4 MB more.
  backpressureBytes: whole({
    min: 1024,
    max: 1024 * MIB,
    standard: MIB,
    meaning: 'Bytes that may wait for one client before it is taken off live delivery',
  }),
  // A node without free files cannot accept, log or reach Redis again, so it stays below its limit.
  maxConnections: whole({
    min: 0,
    max: 10_000_000,
    standard: 0,
    meaning:
      'Maximum connections to the node, event streams included; `0`: as many as the limit on open files (`ulimit -n`) allows, minus 64 for the node itself and a tenth (16 to 1000) for HTTP. A higher number is lowered to that',
  }),
  // They cost an attacker nothing, and an honest client needs this state for a second or so.
  maxUnauthenticated: whole({
    min: 0,
    max: 10_000_000,
    standard: 0,
    meaning:
      'Maximum connections that have not presented a token yet, when tokens are required; `0`: a tenth of all, at least 100',
  }),
  authTimeoutMs: whole({
    min: 100,
    max: 10 * MINUTE_MS,
    standard: 5000,
    meaning: 'Milliseconds in which a connection without a token must send its `auth` frame',
  }),
});

export const heartbeat = z.strictObject({
  // Less than half of the minute after which proxies and load balancers commonly cut an idle connection.
  intervalMs: whole({
    min: 1000,
    max: 5 * MINUTE_MS,
    standard: 25_000,
    meaning:
      'Milliseconds between WebSocket pings; a connection that is silent for two of them is closed (4010)',
  }),
});
