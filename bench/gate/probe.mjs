// Loaded into a counted node (`node --import`): on SIGUSR2 it writes what the process has done so far.
// Environment: PROBE_FILE, where to; PROBE_CALLS, the built module with the codec counters.
import { renameSync, writeFileSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';

const { PROBE_FILE, PROBE_CALLS } = process.env;
const { codecCalls } = await import(PROBE_CALLS);

let collections = 0;
new PerformanceObserver((list) => {
  collections += list.getEntries().length;
}).observe({ entryTypes: ['gc'] });

process.on('SIGUSR2', () => {
  const { heapUsed } = process.memoryUsage();
  // A reader never sees a half-written file.
  writeFileSync(`${PROBE_FILE}.new`, JSON.stringify({ heapUsed, collections, ...codecCalls }));
  renameSync(`${PROBE_FILE}.new`, PROBE_FILE);
});
