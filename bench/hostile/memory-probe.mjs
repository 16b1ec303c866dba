// Loaded into a node (`NODE_OPTIONS=--import=…`): on SIGUSR2 it collects all garbage and logs what is left in use.
import { setFlagsFromString, writeHeapSnapshot } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Code goes when it was seen unused several times. */
const ROUNDS = 6;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
let number = 0;

process.on('SIGUSR2', () => {
  for (let round = 0; round < ROUNDS; round++) {
    collect({ type: 'minor', execution: 'sync' });
    collect({ type: 'major', execution: 'sync' });
  }
  // Only a snapshot collects everything. Without it code and what V8 has learned of it make steps of 7 MB, up or down.
  writeHeapSnapshot('/dev/null');
  const { heapUsed, external } = process.memoryUsage();
  // `external` has the array buffers too.
  const record = { event: 'memory', number: ++number, bytes: heapUsed + external };
  process.stdout.write(`${JSON.stringify(record)}\n`);
});
