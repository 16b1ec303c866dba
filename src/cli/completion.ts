/** `roomcast completion`: what shells offer after the tab key, made from the commands themselves. */
import type { Command } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

interface Entry {
  /** The words after `roomcast`; none for itself. */
  readonly path: readonly string[];
  readonly commands: readonly Command[];
  readonly options: readonly {
    readonly name: string;
    readonly meaning: string;
    readonly takesFile: boolean;
    readonly takesValue: boolean;
  }[];
}

export function completionScript(program: Command, shell: Shell): string {
  const entries = entriesOf(program, []);
  return shell === 'fish' ? fishScript(entries) : bashScript(entries, shell);
}

function entriesOf(command: Command, path: readonly string[]): Entry[] {
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  const options = help.visibleOptions(command).flatMap(({ long, description, flags }) => {
    if (!long) return [];
    return [
      { name: long, meaning: description, takesFile: /<file>/.test(flags), takesValue: /[<[]/.test(flags) },
    ];
  });
  return [
    { path, commands, options },
    ...commands.flatMap((inner) => entriesOf(inner, [...path, inner.name()])),
  ];
}

/** zsh runs the same function, by its own emulation of bash's completion. */
function bashScript(entries: readonly Entry[], shell: 'bash' | 'zsh'): string {
  const steps = entries.filter(({ path }) => path.length > 0).map(({ path }) => quoted(path.join(' ')));
  const words = entries.map(({ path, commands, options }) => {
    const all = [...commands.map((command) => command.name()), ...options.map(({ name }) => name)];
    return `    ${quoted(path.join(' '))}) words=${quoted(all.join(' '))} ;;`;
  });
  const files = new Set(
    entries.flatMap(({ options }) => options.flatMap(({ name, takesFile }) => (takesFile ? name : []))),
  );
  return `${shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''}_roomcast() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" command="" words="" word
  COMPREPLY=()
  case "$previous" in
    ${[...files].join('|')}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  for word in "\${COMP_WORDS[@]:1:$((COMP_CWORD-1))}"; do
    case "\${command:+$command }$word" in
      ${steps.join('|')}) command="\${command:+$command }$word" ;;
    esac
  done
  case "$command" in
${words.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _roomcast roomcast
`;
}

function fishScript(entries: readonly Entry[]): string {
  const lines = entries.flatMap(({ path, commands, options }) => {
    const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`);
    const names = commands.map((command) => command.name()).join(' ');
    const here = commands.length === 0 ? seen : [...seen, `not __fish_seen_subcommand_from ${names}`];
    const start = `complete -c roomcast -n ${quoted(here.join('; and '))}`;
    return [
      ...commands.map((command) => `${start} -f -a ${command.name()} -d ${quoted(command.description())}`),
      ...options.map(({ name, meaning, takesValue, takesFile }) => {
        const value = takesFile ? ' -r -F' : takesValue ? ' -x' : '';
        return `${start} -l ${name.slice(2)}${value} -d ${quoted(meaning)}`;
      }),
    ];
  });
  return `${lines.join('\n')}\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "'\\''")}'`;
}
