/** Finds the rule for a room: the first one whose pattern matches its name, completed with defaults. */
import { compilePattern } from '../util/pattern.ts';
import { type Config, deepFreeze } from './config.ts';
import type { RoomRule } from './room-rule.ts';

/** Remembers this many names, then starts over, so that invented names cost nothing. */
const CACHED_ROOMS = 10_000;

/** What a rule is completed with. */
export interface RuleSettings
  extends Pick<Config, 'history' | 'rooms'>,
    Partial<Pick<Config, 'defaultDeny'>> {
  readonly limits?: Pick<Config['limits'], 'roomPublishesPerSecond'>;
}

/**
 * Returns a function from a room's name to its rule, for the hot path: it looks up names it has seen in a
 * map. Equal answers are the same frozen object.
 */
export function compileRules(config: RuleSettings): (room: string) => RoomRule {
  const standard = resolve({}, config);
  const rules = config.rooms.map((rule) => ({
    matches: compilePattern(rule.match),
    rule: resolve(rule, config),
  }));
  if (rules.length === 0) return () => standard;
  const seen = new Map<string, RoomRule>();
  const look = (room: string) => {
    const known = seen.get(room);
    if (known !== undefined) return known;
    const rule = rules.find(({ matches }) => matches(room))?.rule ?? standard;
    if (seen.size >= CACHED_ROOMS) seen.clear();
    seen.set(room, rule);
    return rule;
  };
  // A publish asks twice in a row: who may publish, and what is kept.
  let lastRoom: string | null = null;
  let lastRule = standard;
  return (room) => {
    if (room === lastRoom) return lastRule;
    lastRoom = room;
    lastRule = look(room);
    return lastRule;
  };
}

function resolve(
  rule: Partial<Config['rooms'][number]>,
  { history, limits, defaultDeny: deniesByDefault = false }: RuleSettings,
): RoomRule {
  const unsaid = deniesByDefault ? 'server' : 'anyone';
  return deepFreeze({
    match: rule.match ?? null,
    history: historyOf(rule.history, history),
    presence: rule.presence ?? true,
    memberEvents: rule.memberEvents ?? false,
    presenceData: rule.presenceData ?? true,
    join: rule.join ?? unsaid,
    publish: rule.publish ?? unsaid,
    access: rule.access ?? {},
    deniesByDefault,
    publishesPerSecond: rule.publishesPerSecond ?? limits?.roomPublishesPerSecond ?? 0,
    acks: rule.acks ?? null,
    slowReaders: rule.slowReaders ?? 'resume',
  });
}

function historyOf(
  own: Partial<Config['rooms'][number]>['history'],
  standard: Config['history'],
): RoomRule['history'] {
  if (own === false) return { ...standard, messages: 0 };
  return {
    messages: own?.messages ?? standard.messages,
    ageMs: own?.ageMs ?? standard.ageMs,
    bytes: own?.bytes ?? standard.bytes,
  };
}
