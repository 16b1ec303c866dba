/**
 * The kinds of settings. Each is a zod schema with its default, one sentence on what it expects, and the
 * notes that flags, environment variables and documentation are made from.
 */
import { z } from 'zod';

/** `keys`: a list of texts, or JSON. */
export type FieldKind = 'whole' | 'boolean' | 'text' | 'list' | 'json' | 'booleanOrList' | 'keys';

export interface FieldNotes {
  readonly kind: FieldKind;
  /** For the documentation: what the setting does, with its unit. Markdown, no full stop. */
  readonly meaning: string;
  /** Its command line option, as `--port <number>`. */
  readonly flag?: string;
  /** A common environment variable that is also read. The `ROOMCAST_` one beats it. */
  readonly alias?: string;
  /** Never shown. May also be read from a file that `<variable>_FILE` names. */
  readonly secret?: boolean;
  /** The value is the path of a file that must be readable. */
  readonly readable?: boolean;
  /** The default in words, when it depends on something else. */
  readonly defaultText?: string;
}

type Notes = Omit<FieldNotes, 'kind'>;

export const fieldNotes = z.registry<FieldNotes>();

export function whole(field: Notes & { min: number; max: number; standard: number }) {
  const { min, max, standard, ...notes } = field;
  return wholeNumber(min, max)
    .default(standard)
    .register(fieldNotes, { ...notes, kind: 'whole' });
}

/** An optional whole number: null, the default, means not set. */
export function optionalWhole(field: Notes & { min: number; max: number }) {
  const { min, max, ...notes } = field;
  return wholeNumber(min, max)
    .nullable()
    .default(null)
    .register(fieldNotes, { ...notes, kind: 'whole' });
}

export function yesNo(field: Notes & { standard: boolean }) {
  const { standard, ...notes } = field;
  return trueOrFalse()
    .default(standard)
    .register(fieldNotes, { ...notes, kind: 'boolean' });
}

/** True, false (the default), or a list. */
export function yesNoOrList<T extends z.ZodType>(field: Notes & { item: T; expected: string }) {
  const { item, expected, ...notes } = field;
  return z
    .union([z.boolean(), z.array(item)], { error: `expected ${expected}` })
    .default(false as never)
    .register(fieldNotes, { ...notes, kind: 'booleanOrList' });
}

/** A boolean without a fixed default: loading derives it, and `defaultText` says from what. */
export function derivedYesNo(field: Notes & { defaultText: string }) {
  return trueOrFalse().register(fieldNotes, { ...field, kind: 'boolean' });
}

export function text(field: Notes & { standard: string; pattern: RegExp; expected: string }) {
  const { standard, pattern, expected, ...notes } = field;
  return matching(pattern, expected)
    .default(standard)
    .register(fieldNotes, { ...notes, kind: 'text' });
}

/** Optional text: null, the default, means not set. */
export function optionalText(field: Notes & { pattern: RegExp; expected: string }) {
  const { pattern, expected, ...notes } = field;
  return matching(pattern, expected)
    .nullable()
    .default(null)
    .register(fieldNotes, { ...notes, kind: 'text' });
}

/** A URL with one of these protocols (`redis:`), or null. */
export function optionalUrl(field: Notes & { protocols: readonly string[]; expected: string }) {
  const { protocols, expected, ...notes } = field;
  const error = `expected ${expected}`;
  return z
    .string({ error })
    .refine((url) => hasHost(url) && protocols.includes(new URL(url).protocol), { error })
    .nullable()
    .default(null)
    .register(fieldNotes, { ...notes, kind: 'text' });
}

/**
 * Text checked by a function, or null. `problemOf` returns what is wrong, or null; the text may be a secret.
 */
export function optionalJudged(
  field: Notes & { problemOf: (text: string) => string | null; expected: string },
) {
  const { problemOf, expected, ...notes } = field;
  return judged(problemOf, expected)
    .nullable()
    .default(null)
    .register(fieldNotes, { ...notes, kind: 'text' });
}

export function judged(problemOf: (text: string) => string | null, expected: string) {
  return z.string({ error: `expected ${expected}` }).superRefine((text, context) => {
    const problem = problemOf(text);
    if (problem !== null) context.addIssue({ code: 'custom', message: problem });
  });
}

/** Whether text is a URL with a host: `redis:6379` parses as a URL too, but leads nowhere. */
export function hasHost(text: string): boolean {
  return URL.canParse(text) && new URL(text).hostname !== '';
}

export function oneOf<const T extends readonly [string, ...string[]]>(
  field: Notes & { values: T; standard: T[number] },
) {
  const { values, standard, ...notes } = field;
  return choice(values)
    .default(standard as never)
    .register(fieldNotes, { ...notes, kind: 'text' });
}

/** A list, empty unless given. */
export function listOf<T extends z.ZodType>(field: Notes & { item: T; expected: string; kind?: FieldKind }) {
  const { item, expected, kind = 'list', ...notes } = field;
  return z
    .array(item, { error: `expected ${expected}` })
    .default([] as never)
    .register(fieldNotes, { ...notes, kind });
}

/** Fields of room rules: no default here, missing ones come from the settings. */
export function optionalIn<T extends z.ZodType>(
  schema: T,
  kind: FieldKind,
  meaning: string,
  defaultText: string,
) {
  const optional = schema.optional();
  fieldNotes.add(optional, { kind, meaning, defaultText });
  return optional;
}

export function wholeNumber(min: number, max: number) {
  const error = `expected a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

export function trueOrFalse() {
  return z.boolean({ error: 'expected true or false' });
}

export function matching(pattern: RegExp, expected: string) {
  const error = `expected ${expected}`;
  return z.string({ error }).regex(pattern, { error });
}

export function choice<const T extends readonly [string, ...string[]]>(values: T) {
  return z.enum(values, { error: `expected one of ${values.join(', ')}` });
}
