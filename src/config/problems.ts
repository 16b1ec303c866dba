/** Turns schema errors into lines for people: the source, the key, what was expected, what was given. */
import type { z } from 'zod';
import type { FieldNotes } from './fields.ts';
import { KEY_FIELDS, MIN_KEY_CHARACTERS } from './groups/api-keys.ts';
import { ruleSchema } from './rule-schema.ts';
import { didYouMean } from './suggest.ts';

type Issue = z.core.$ZodIssue;

const SHOWN_CHARACTERS = 60;

/**
 * One line per issue. `origin` names source and key, such as `environment ROOMCAST_PORT`. The line for a
 * secret leaves out the given value.
 */
export function problemLines(origin: string, error: z.ZodError, given: unknown, setting: Judged): string[] {
  const lines = error.issues.flatMap((issue) => issueLines(origin, issue, given, [], setting));
  return [...new Set(lines)];
}

/** What has to be known of the setting that is wrong. */
type Judged = Pick<FieldNotes, 'kind' | 'secret'>;

/** A value on one line, truncated if long, without what a URL names before its host. */
export function shown(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  const text = (JSON.stringify(value) ?? String(value)).replace(/\/\/[^/"\s]*@/g, '//***@');
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}

function issueLines(
  origin: string,
  issue: Issue,
  given: unknown,
  above: readonly PropertyKey[],
  setting: Judged,
): string[] {
  const path = [...above, ...issue.path];
  const value = valueAt(given, path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownKeyLine(origin, path, key, setting));
  }
  if (issue.code === 'invalid_union' && isObject(value)) {
    // `false`, or a group: someone who wrote a group needs to know what is wrong inside it.
    return (issue.errors.at(-1) ?? []).flatMap((inner) => issueLines(origin, inner, given, path, setting));
  }
  const got = setting.secret === true ? '' : `, got ${shown(value)}`;
  return [`${origin}${suffix(path)}: ${issue.message}${got}`];
}

function unknownKeyLine(origin: string, path: readonly PropertyKey[], key: string, { kind }: Judged): string {
  if (kind === 'keys') {
    // Long enough to be a key that was put in the wrong place.
    const name = key.length < MIN_KEY_CHARACTERS ? key : '***';
    return `${origin}${suffix(path)}: unknown key "${name}"${didYouMean(key, KEY_FIELDS)}`;
  }
  const known = path.at(-1) === 'history' ? ['messages', 'ageMs', 'bytes'] : Object.keys(ruleSchema.shape);
  return `${origin}${suffix(path)}: unknown key "${key}"${didYouMean(key, known)}`;
}

/** `[0].match` */
function suffix(path: readonly PropertyKey[]): string {
  return path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
}

function valueAt(given: unknown, path: readonly PropertyKey[]): unknown {
  let value = given;
  for (const key of path) value = isObject(value) ? Reflect.get(value, key) : undefined;
  return value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
