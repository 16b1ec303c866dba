/** The command line: the commands, and their exit codes. */
import { Argument, Command, CommanderError } from 'commander';
import { packageVersion } from '../app/package-version.ts';
import { addApiKey } from './apikey/commands.ts';
import { addBenchOptions, type BenchOptions } from './bench/options.ts';
import { completionScript, SHELLS, type Shell } from './completion.ts';
import { addDoctorOptions } from './doctor-options.ts';
import { EXIT } from './exit-codes.ts';
import type { Io } from './io.ts';
import { addConfigOption, addSettingOptions } from './options.ts';
import { addRevoke } from './revoke/commands.ts';
import { addRoomCommands } from './rooms/commands.ts';
import { addToken } from './token/commands.ts';

const EXAMPLES = `
Examples:
  roomcast serve                                     one node, in memory, on port 8080
  roomcast serve --redis redis://localhost:6379      a node of a cluster
  roomcast serve --config roomcast.yaml --port 9000  settings from a file; flags override them
  roomcast config check --config roomcast.yaml       check whether a node would start
  roomcast config print                              print the settings in use, without secrets
  roomcast doctor --redis redis://localhost:6379 --node http://node1:8080
                                                     find what is wrong with a deployment
  roomcast bench ws://localhost:8080/ws              measure what a deployment handles
  roomcast sub chat:lobby --last 20                  print what is published in a room
  roomcast pub chat:lobby hello                      publish there

Settings come from a file, from ROOMCAST_* variables and from flags. Flags beat variables, and both beat the file.`;

const SERVE_HELP = `
Examples:
  roomcast serve                                     one node, in memory, on port 8080
  roomcast serve --redis redis://localhost:6379      a node of a cluster; start as many as you like
  roomcast serve --redis redis://redis-1:6379,redis://redis-2:6379
                                                     the same, on a Redis Cluster
  roomcast serve --redis redis://chat --redis-sentinel-name chat \\
    --redis-sentinels redis://10.0.0.1:26379,redis://10.0.0.2:26379,redis://10.0.0.3:26379
                                                     the same, on a primary with Sentinels

Each setting has a variable, such as ROOMCAST_AUTH_SECRET for auth.secret; most
have no flag. docs/configuration.md lists them, roomcast config print shows what
a node would use, and roomcast doctor checks it and the Redis.`;

const COMPLETION_HELP = `
Examples:
  source <(roomcast completion bash)                                     in ~/.bashrc
  source <(roomcast completion zsh)                                      in ~/.zshrc, after compinit
  roomcast completion fish > ~/.config/fish/completions/roomcast.fish`;

const WITH_SUBCOMMANDS: readonly string[] = ['config', 'token', 'apikey'];

/**
 * Runs one command line, without the program's own name. Returns the exit code. Never throws for user input.
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let exitCode = 0;
  const program = createProgram(io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(orHelp(argv), { from: 'user' });
    return exitCode;
  } catch (error) {
    // Help and version are errors to commander, with 0; everything else says that the command line is wrong.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    throw error;
  }
}

function createProgram(io: Io, ended: (exitCode: number) => void): Command {
  const program = new Command('roomcast')
    .description('A horizontally scaled pub/sub broker for rooms.')
    .version(packageVersion(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)
    .configureOutput({ writeOut: io.stdout, writeErr: io.stderr })
    .exitOverride();
  addServe(program, io, ended);
  addConfig(program, io, ended);
  addDoctor(program, io, ended);
  addBench(program, io, ended);
  addRoomCommands(program, io, ended);
  addToken(program, io, ended);
  addApiKey(program, io, ended);
  addRevoke(program, io, ended);
  addCompletion(program, io, ended);
  nameHelp(program, 'roomcast');
  return program;
}

/** An error of a command names the help of this command, which has its options and examples. */
function nameHelp(command: Command, path: string): void {
  command.showHelpAfterError(`(see ${path} --help)`);
  for (const below of command.commands) nameHelp(below, `${path} ${below.name()}`);
}

function addServe(program: Command, io: Io, ended: (exitCode: number) => void): void {
  const serve = program.command('serve').description('run a node').helpCommand(false);
  addSettingOptions(addConfigOption(serve)).addHelpText('after', SERVE_HELP);
  serve.action(async (options) => {
    // Each command is loaded on demand: the others start sooner without it.
    const { serveCommand } = await import('./serve-command.ts');
    ended(await serveCommand(io, options));
  });
}

function addConfig(program: Command, io: Io, ended: (exitCode: number) => void): void {
  const config = program.command('config').description('check or print a configuration').helpCommand(false);
  addConfigOption(config.command('check'))
    .description('check whether a node would start, and list all problems')
    .action(async (options) => ended((await import('./config-commands.ts')).checkConfig(io, options)));
  addConfigOption(config.command('print'))
    .description('print the settings a node would use, as YAML without secrets')
    .action(async (options) => ended((await import('./config-commands.ts')).printConfig(io, options)));
  config
    .command('docs', { hidden: true })
    .description('print the tables of docs/configuration.md')
    .action(async () => ended((await import('./config-commands.ts')).printDocs(io)));
}

function addDoctor(program: Command, io: Io, ended: (exitCode: number) => void): void {
  const doctor = program.command('doctor').description('check a deployment').helpCommand(false);
  addDoctorOptions(addSettingOptions(addConfigOption(doctor))).action(async (options) => {
    const { doctorCommand } = await import('./doctor.ts');
    ended(await doctorCommand(io, options));
  });
}

function addBench(program: Command, io: Io, ended: (exitCode: number) => void): void {
  const bench = program.command('bench').description('put load on nodes and measure what they handle');
  addBenchOptions(bench.helpCommand(false)).action(async (urls: readonly URL[], options: BenchOptions) => {
    const { benchCommand } = await import('./bench/command.ts');
    ended(await benchCommand(io, urls, options));
  });
}

function addCompletion(program: Command, io: Io, ended: (exitCode: number) => void): void {
  program
    .command('completion')
    .description('print a script that completes commands and options in a shell')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .addHelpText('after', COMPLETION_HELP)
    .action((shell: Shell) => {
      io.stdout(completionScript(program, shell));
      ended(EXIT.ok);
    });
}

/** Without a subcommand it prints its help, which is not a failure. An unknown one is. */
function orHelp(argv: readonly string[]): readonly string[] {
  const incomplete = argv.length === 0 || (argv.length === 1 && WITH_SUBCOMMANDS.includes(argv[0]!));
  return incomplete ? [...argv, '--help'] : argv;
}
