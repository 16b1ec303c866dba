/** Every scenario, in the order in which it is run and shown. */
import { CLUSTER } from './cluster.ts';
import { FAN_OUT } from './fan-out.ts';
import { HTTP } from './http.ts';
import { IDLE } from './idle.ts';
import { INGEST } from './ingest.ts';
import { JITTER } from './jitter.ts';
import { JOINS } from './joins.ts';
import { LATENCY } from './latency.ts';
import { OVERLOAD } from './overload.ts';
import type { Scenario } from './scenario.ts';
import { FORMATS, HISTORY, NODES } from './variants.ts';

export const SCENARIOS: readonly Scenario[] = [
  FAN_OUT,
  LATENCY,
  OVERLOAD,
  INGEST,
  JOINS,
  IDLE,
  JITTER,
  NODES,
  CLUSTER,
  HISTORY,
  FORMATS,
  HTTP,
];
