/** The configuration file: YAML, which includes JSON. */
import { parseDocument } from 'yaml';
import { shown } from './problems.ts';
import { GROUPS, SETTING_AT, type Setting } from './settings.ts';
import { emptySource, readText, type Source, valueOfText } from './source.ts';
import { didYouMean } from './suggest.ts';

/** Reads a settings file. A file that cannot be read or parsed is a problem, not an exception. */
export function readConfigFile(path: string): Source {
  const file = readText(path);
  const source = emptySource();
  if ('reason' in file) {
    source.problems.push(`file ${path}: cannot read it: ${file.reason}`);
    return source;
  }
  const root = parse(file.text, path, source);
  if (source.problems.length === 0) visitGroup(source, `file ${path}`, root, '');
  return source;
}

/** Reads settings that a program gives, nested as in a file. */
export function readGivenSettings(settings: unknown): Source {
  const source = emptySource();
  visitGroup(source, 'settings', settings, '');
  return source;
}

function parse(text: string, path: string, source: Source): unknown {
  const document = parseDocument(text, { prettyErrors: true });
  for (const error of document.errors) {
    const reason = error.message.split('\n', 1)[0]!.replace(/:$/, '');
    source.problems.push(`file ${path}: ${reason}`);
  }
  if (source.problems.length > 0) return null;
  try {
    return document.toJS();
  } catch (error) {
    // An alias without its anchor, or aliases that expand without end.
    source.problems.push(`file ${path}: ${(error as Error).message}`);
    return null;
  }
}

function visitGroup(source: Source, origin: string, value: unknown, path: string): void {
  // A group whose settings are all commented out is null, and sets nothing.
  if (value === null || value === undefined) return;
  if (typeof value !== 'object' || Array.isArray(value)) {
    const where = path === '' ? origin : `${origin} ${path}`;
    source.problems.push(`${where}: expected a group of settings, got ${shown(value)}`);
    return;
  }
  for (const [key, member] of Object.entries(value)) {
    if (key.includes('.'))
      source.problems.push(`${origin}: unknown key "${key}" — keys are nested, not dotted`);
    else visit(source, origin, member, path === '' ? key : `${path}.${key}`);
  }
}

function visit(source: Source, origin: string, value: unknown, path: string): void {
  const setting = SETTING_AT.get(path);
  if (setting) source.given.push({ setting, value: listed(setting, value), origin: `${origin} ${path}` });
  else if (GROUPS.has(path)) visitGroup(source, origin, value, path);
  else source.problems.push(`${origin}: unknown key "${path}"${hint(path)}`);
}

/** `trustProxy: 10.0.0.0/8, loopback` means the same in a file as in the environment. */
function listed(setting: Setting, value: unknown): unknown {
  return setting.kind === 'booleanOrList' && typeof value === 'string' ? valueOfText(setting, value) : value;
}

function hint(path: string): string {
  const suggestion = didYouMean(path, [...SETTING_AT.keys(), ...GROUPS]);
  if (suggestion !== '') return suggestion;
  // A setting at the wrong level: the right name in the wrong group.
  const last = path.slice(path.lastIndexOf('.') + 1);
  const elsewhere = [...SETTING_AT.keys()].find((known) => known.endsWith(`.${last}`));
  return elsewhere === undefined ? '' : ` — did you mean "${elsewhere}"?`;
}
