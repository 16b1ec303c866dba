/** Command line options, made from the settings that have a flag. */
import { type Command, Option } from 'commander';
import { flagName, SETTINGS, type Setting } from '../config/settings.ts';

export function addConfigOption(command: Command): Command {
  return command.option(
    '--config <file>',
    'settings file, YAML or JSON (default: the file that ROOMCAST_CONFIG names)',
  );
}

/**
 * An option for every setting that has a flag. They have no defaults: a missing option leaves the choice to
 * other sources.
 */
export function addSettingOptions(command: Command): Command {
  for (const setting of SETTINGS) {
    if (setting.flag !== undefined) addSetting(command, setting, setting.flag);
  }
  return command;
}

function addSetting(command: Command, setting: Setting, flag: string): void {
  const meaning = `${plain(setting.meaning)}${standardOf(setting)}`;
  if (setting.kind === 'boolean') {
    command.addOption(new Option(flag, meaning));
    command.addOption(
      new Option(
        flagName(flag).replace('--', '--no-'),
        `Do not ${meaning.charAt(0).toLowerCase()}${meaning.slice(1)}`,
      ),
    );
  } else if (setting.kind === 'list' || setting.kind === 'keys') {
    command.addOption(new Option(flag, `${meaning}. May be repeated`).argParser(appended));
  } else {
    command.addOption(new Option(flag, meaning));
  }
}

/** What counts where nothing sets it. Those that depend on something else say so in the documentation. */
function standardOf({ kind, schema, defaultText }: Setting): string {
  if (kind === 'boolean' || defaultText !== undefined) return '';
  const value = schema.parse(undefined);
  return typeof value === 'string' || typeof value === 'number' ? ` (default: ${value})` : '';
}

function appended(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** A terminal shows neither code nor links. */
function plain(markdown: string): string {
  return markdown.replaceAll('`', '').replace(/\[([^\]]+)\]\([^)]*\)/g, '$1');
}
