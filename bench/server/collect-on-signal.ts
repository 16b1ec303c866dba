/**
 * Preloaded into servers whose memory is measured: on SIGUSR2 they collect all garbage there is. When V8 does that by itself
 * differs from run to run by more than thousands of connections take.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { readonly type: 'minor' | 'major'; readonly execution: 'sync' }) => void;

/** Code goes when it was seen unused several times. */
const ROUNDS = 4;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as Collect;

process.on('SIGUSR2', () => {
  for (let round = 0; round < ROUNDS; round++) {
    collect({ type: 'minor', execution: 'sync' });
    collect({ type: 'major', execution: 'sync' });
  }
});
