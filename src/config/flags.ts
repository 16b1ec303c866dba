/** Settings from the command line. */
import { flagKey, flagName, SETTINGS } from './settings.ts';
import { emptySource, quotesProblem, type Source, valueOfText } from './source.ts';

/** Options as commander reports them: `apiKey` for `--api-key`. A list for an option that may be repeated. */
export type Flags = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** Reads the options that are settings and ignores others, such as `config`. */
export function readFlags(flags: Flags): Source {
  const source = emptySource();
  for (const setting of SETTINGS) {
    if (setting.flag === undefined) continue;
    const given = flags[flagKey(setting.flag)];
    if (given === undefined) continue;
    const origin = `flag ${flagName(setting.flag)}`;
    const texts = typeof given === 'boolean' ? [] : [given].flat();
    const problem = texts.map((text) => quotesProblem(setting, text)).find((found) => found !== null);
    if (problem !== undefined) {
      source.problems.push(`${origin}: ${problem}`);
      source.unread.push(setting.path);
      continue;
    }
    const value = typeof given === 'string' ? valueOfText(setting, given) : given;
    source.given.push({ setting, value, origin });
  }
  return source;
}
