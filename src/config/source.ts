/** What one source of settings says: the file, the environment or the command line. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import type { FieldKind, FieldNotes } from './fields.ts';
import { isObject } from './problems.ts';
import type { Setting } from './settings.ts';

/** A value as it was given, not yet checked. */
export interface Given {
  readonly setting: Setting;
  readonly value: unknown;
  /** Source and key, as `environment ROOMCAST_PORT`. */
  readonly origin: string;
}

export interface Source {
  /** Where a setting is given twice, the later one counts. */
  readonly given: Given[];
  readonly problems: string[];
  /** Paths of settings that were given but could not be had, as from a file that is missing. */
  readonly unread: string[];
}

export function emptySource(): Source {
  return { given: [], problems: [], unread: [] };
}

const WORDS: ReadonlyMap<string, boolean> = new Map([
  ...['true', 'yes', 'on', '1'].map((word) => [word, true] as const),
  ...['false', 'no', 'off', '0'].map((word) => [word, false] as const),
]);

/** Reads text as a setting's kind of value. Text that is none is returned as it is, for the schema to refuse. */
export function valueOfText({ kind }: Pick<FieldNotes, 'kind'>, text: string): unknown {
  const trimmed = text.trim();
  const readers: Record<FieldKind, () => unknown> = {
    whole: () => (/^-?\d{1,15}$/.test(trimmed) ? Number(trimmed) : text),
    boolean: () => WORDS.get(trimmed.toLowerCase()) ?? text,
    text: () => trimmed,
    list: () => itemsOf(text),
    json: () => jsonOf(text),
    booleanOrList: () => WORDS.get(trimmed.toLowerCase()) ?? itemsOf(text),
  };
  return readers[kind]();
}

/** Items between commas or line ends, without the empty ones. */
function itemsOf(text: string): string[] {
  return text
    .split(/[,\n]/)
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

/**
 * What is wrong with text that is in quotes, or null. Shells take quotes away; env files of containers and unit files of
 * services at times keep them, and a key in quotes is another key.
 */
export function quotesProblem({ kind }: Pick<FieldNotes, 'kind'>, text: string): string | null {
  const values = kind === 'list' ? [text.trim(), ...itemsOf(text)] : [text.trim()];
  return values.some(isQuoted) ? 'the quotes around the value would be part of it: leave them out' : null;
}

export function isQuoted(text: string): boolean {
  return /^(["'`]).*\1$/s.test(text) && text.length > 1;
}

export type FileText = { readonly text: string } | { readonly reason: string };

/** The text of a file, or why there is none: `no such file`. */
export function readText(path: string): FileText {
  try {
    return { text: readFileSync(path, 'utf8') };
  } catch (error) {
    return { reason: reasonOf(error) };
  }
}

/** Why a file cannot be read, or null where it can. */
export function unreadableReason(path: string): string | null {
  try {
    accessSync(path, constants.R_OK);
    return statSync(path).isDirectory() ? REASONS.EISDIR! : null;
  } catch (error) {
    return reasonOf(error);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
};

function reasonOf(error: unknown): string {
  const code = isObject(error) && typeof error.code === 'string' ? error.code : String(error);
  return REASONS[code] ?? code;
}
