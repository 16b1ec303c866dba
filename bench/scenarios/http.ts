import { METRICS } from './http-metrics.ts';
import { httpShape, PER_MESSAGE, REQUESTS } from './http-publish.ts';
import type { Scenario } from './scenario.ts';

const ROOMCAST = ['roomcast-no-history', 'roomcast', 'roomcast-redis-no-history', 'roomcast-redis'];
const BATCH = 20;

export const HTTP: Scenario = {
  name: 'http',
  question: 'What does a publish over HTTP cost: singly, in batches; and what does a scrape of the metrics?',
  shapes: [
    httpShape({
      name: 'publish',
      what: 'autocannon, 100 connections, one message a request; 10 rooms x 10 members listen',
      rows: ['bare', 'bare-redis', ...ROOMCAST],
      control: 'bare',
      goals: [
        { row: 'roomcast-no-history', figure: REQUESTS.figure, atLeast: 15_000 },
        { row: 'roomcast-redis-no-history', figure: REQUESTS.figure, atLeast: 15_000 },
      ],
      batch: null,
    }),
    httpShape({
      name: 'batch',
      what: `the same with ${BATCH} messages a request, two for each room`,
      rows: ROOMCAST,
      control: 'roomcast-no-history',
      headline: PER_MESSAGE,
      batch: BATCH,
    }),
    METRICS,
  ],
};
