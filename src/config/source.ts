/** What one source of settings provides: the file, the environment or the command line. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { codeOrMessage } from '../util/error-words.ts';
import type { FieldKind, FieldNotes } from './fields.ts';
import type { Setting } from './settings.ts';

/** A value as given, not checked yet. */
export interface Given {
  readonly setting: Setting;
  readonly value: unknown;
  /** Source and key, such as `environment ROOMCAST_PORT`. */
  readonly origin: string;
}

export interface Source {
  /** If a setting is given twice, the later one wins. */
  readonly given: Given[];
  readonly problems: string[];
  /** Paths of settings that were given but could not be read, such as a missing file. */
  readonly unread: string[];
}

export function emptySource(): Source {
  return { given: [], problems: [], unread: [] };
}

const WORDS: ReadonlyMap<string, boolean> = new Map([
  ...['true', 'yes', 'on', '1'].map((word) => [word, true] as const),
  ...['false', 'no', 'off', '0'].map((word) => [word, false] as const),
]);

/**
 * Parses text as a setting's kind of value. Text that does not parse is returned unchanged, for the schema to
 * reject.
 */
export function valueOfText({ kind }: Pick<FieldNotes, 'kind'>, text: string): unknown {
  const trimmed = text.trim();
  const readers: Record<FieldKind, () => unknown> = {
    whole: () => (/^-?\d{1,15}$/.test(trimmed) ? Number(trimmed) : text),
    boolean: () => WORDS.get(trimmed.toLowerCase()) ?? text,
    text: () => trimmed,
    list: () => itemsOf(text),
    json: () => jsonOf(text),
    booleanOrList: () => WORDS.get(trimmed.toLowerCase()) ?? itemsOf(text),
    keys: () => (isJsonList(trimmed) ? jsonOf(text) : itemsOf(text)),
  };
  return readers[kind]();
}

/** Items between commas or newlines, without empty ones. */
function itemsOf(text: string): string[] {
  return text
    .split(/[,\n]/)
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function isJsonList(trimmed: string): boolean {
  return trimmed.startsWith('[');
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
 * What is wrong with text in quotes, or null. Shells remove quotes; env files of containers and unit files of
 * services sometimes keep them, and a key with quotes is a different key.
 */
export function quotesProblem({ kind }: Pick<FieldNotes, 'kind'>, text: string): string | null {
  const isList = kind === 'list' || (kind === 'keys' && !isJsonList(text.trim()));
  const values = isList ? [text.trim(), ...itemsOf(text)] : [text.trim()];
  return values.some(isQuoted) ? 'the quotes are part of the value: remove them' : null;
}

export function isQuoted(text: string): boolean {
  return /^(["'`]).*\1$/s.test(text) && text.length > 1;
}

export type FileText = { readonly text: string } | { readonly reason: string };

/** The text of a file, or the reason that it cannot be read: `no such file`. */
export function readText(path: string): FileText {
  try {
    return { text: readFileSync(path, 'utf8') };
  } catch (error) {
    return { reason: reasonOf(error) };
  }
}

/** Why a file cannot be read, or null if it can. */
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
  const code = codeOrMessage(error);
  return REASONS[code] ?? code;
}
