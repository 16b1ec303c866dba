/** The settings as Markdown tables, for docs/configuration.md. */
import { type FieldNotes, fieldNotes } from './fields.ts';
import { ruleSchema } from './rule-schema.ts';
import { flagName, SETTINGS, type Setting } from './settings.ts';

/** Markers around the tables in the README. */
export const DOCS_BEGIN = '<!-- config:begin -->';
export const DOCS_END = '<!-- config:end -->';

/** All settings, then the fields of a room rule. No trailing newline. */
export function describeConfig(): string {
  return [
    ...table(['Key', 'Environment', 'Flag', 'Default', 'Meaning'], SETTINGS.map(settingRow)),
    '',
    'Fields of a room rule, an item of `rooms`:',
    '',
    ...table(['Key', 'Default', 'Meaning'], ruleRows()),
  ].join('\n');
}

function settingRow(setting: Setting): string[] {
  const { path, flag, meaning } = setting;
  return [
    code(path),
    environmentCell(setting),
    flag ? flagCell(setting, flag) : '',
    defaultCell(setting),
    meaning,
  ];
}

function environmentCell({ environment, alias, secret }: Setting): string {
  const names = alias === undefined ? [environment] : [environment, alias];
  return names.map((name) => code(secret === true ? `${name}[_FILE]` : name)).join(', ');
}

function flagCell({ kind }: Setting, flag: string): string {
  return kind === 'boolean' ? `${code(flag)}, ${code(flagName(flag).replace('--', '--no-'))}` : code(flag);
}

function defaultCell({ defaultText, schema }: Setting): string {
  if (defaultText !== undefined) return defaultText;
  const value = schema.parse(undefined);
  if (value === null) return 'none';
  return code(typeof value === 'string' ? value : JSON.stringify(value));
}

function ruleRows(): string[][] {
  const rows = Object.entries(ruleSchema.shape).map(([key, schema]) => {
    const notes: FieldNotes | undefined = fieldNotes.get(schema);
    return notes && [code(key), notes.defaultText ?? '', notes.meaning];
  });
  const match = [code('match'), 'required', 'Room name, where `*` matches any run of characters'];
  return [match, ...rows.filter((row) => row !== undefined)];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [line(head), line(head.map(() => '---')), ...rows.map(line)];
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function code(text: string): string {
  return `\`${text}\``;
}
