import type { RedisFacts } from '../../backplane/redis/start/inspect.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

const ABOUT = 'redis persistence';

/** What a restart of Redis would lose. */
export function checkRedisPersistence(facts: RedisFacts): Finding[] {
  return facts.diskFailed ? [failed(), kept(facts)] : [kept(facts)];
}

function failed(): Finding {
  return problem(
    ABOUT,
    'its last write to disk failed',
    'see its log; free space, or fix the disk or its permissions: Redis may refuse all writes until then',
  );
}

function kept({ appendOnly, appendFsync, snapshots }: RedisFacts): Finding {
  if (appendOnly && appendFsync === 'no') {
    return warning(
      ABOUT,
      'the append-only file is on, but the system decides when to write it: a crash of the machine loses half a minute',
      'set appendfsync everysec',
    );
  }
  if (appendOnly) {
    const lost = appendFsync === 'always' ? 'nothing' : 'at most a second';
    return ok(ABOUT, `the append-only file is on: a crash loses ${lost}`);
  }
  const advice = 'set appendonly yes and appendfsync everysec';
  if (snapshots === null) {
    return warning(
      ABOUT,
      'the append-only file is off, and Redis does not report whether it makes snapshots (CONFIG is off, or the user lacks +config|get)',
      'turn persistence on at its provider, or a restart loses history and members get reset',
    );
  }
  if (snapshots === '') {
    return warning(
      ABOUT,
      'nothing is kept on disk: a restart of Redis loses all history and numbering, and every room gets reset',
      advice,
    );
  }
  return warning(
    ABOUT,
    'only snapshots are kept on disk: a crash loses everything after the last one, and those rooms get reset',
    advice,
  );
}
