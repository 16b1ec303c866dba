/** Settings from the command line. */
import { flagKey, flagName, SETTINGS } from './settings.ts';
import { emptySource, type Source, valueOfText } from './source.ts';

/** Options as commander reports them: `apiKey` of `--api-key`. A list where an option may be repeated. */
export type Flags = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** Reads the options that are settings; others, such as `config`, are not looked at. */
export function readFlags(flags: Flags): Source {
  const source = emptySource();
  for (const setting of SETTINGS) {
    if (setting.flag === undefined) continue;
    const given = flags[flagKey(setting.flag)];
    if (given === undefined) continue;
    const value = typeof given === 'string' ? valueOfText(setting, given) : given;
    source.given.push({ setting, value, origin: `flag ${flagName(setting.flag)}` });
  }
  return source;
}
