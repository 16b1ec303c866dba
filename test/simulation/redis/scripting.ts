/** Runs the scripts of nodes, as they ship, on the model. */
import { createHash } from 'node:crypto';
import { COMMANDS, type Ground } from './commands.ts';
import { compile } from './lua/compile.ts';
import { LIBRARY } from './lua/library.ts';
import { LuaError, type LuaFunction, numberText, Table, type Value } from './lua/values.ts';
import { OK, Refusal, type Reply, Status } from './reply.ts';

/** What of Redis decides whether a script may write. */
export interface WriteState {
  /** Why writes are refused, or null. */
  readonly refusal: string | null;
  readonly isFull: boolean;
  /** Of a cluster: why the server leaves a command to others. */
  readonly guard?: (name: string, words: readonly string[]) => string | null;
}

const FULL = "OOM command not allowed when used memory > 'maxmemory'.";

interface Script {
  readonly run: LuaFunction;
  readonly globals: Record<string, Value>;
  readonly worksWhenFull: boolean;
}

/** Compiled once for all models of the process: the text decides what a script does. */
const compiled = new Map<string, ReturnType<typeof compile>>();

export class Scripts {
  readonly #scripts = new Map<string, Script>();
  /** What the script that runs now works on. */
  #ground!: Ground;
  #state!: WriteState;
  #hasWritten = false;
  #worksWhenFull = false;

  load(source: string): string {
    const sha = createHash('sha1').update(source, 'latin1').digest('hex');
    if (this.#scripts.has(sha)) return sha;
    let made = compiled.get(sha);
    if (made === undefined) {
      made = compile(source);
      compiled.set(sha, made);
    }
    const globals: Record<string, Value> = { ...LIBRARY, redis: this.#redis() };
    const worksWhenFull = /^#!lua.*\ballow-oom\b/.test(source.split('\n', 1)[0] ?? '');
    this.#scripts.set(sha, { run: made(globals), globals, worksWhenFull });
    return sha;
  }

  flush(): void {
    this.#scripts.clear();
  }

  get size(): number {
    return this.#scripts.size;
  }

  run(
    sha: string,
    keys: readonly string[],
    args: readonly string[],
    ground: Ground,
    state: WriteState,
  ): Reply {
    const script = this.#scripts.get(sha.toLowerCase());
    if (script === undefined) throw new Refusal('NOSCRIPT No matching script. Please use EVAL.');
    this.#ground = ground;
    this.#state = state;
    this.#hasWritten = false;
    this.#worksWhenFull = script.worksWhenFull;
    script.globals.KEYS = new Table([...keys]);
    script.globals.ARGV = new Table([...args]);
    try {
      return replyOf(script.run()[0]);
    } catch (error) {
      if (!(error instanceof LuaError)) throw error;
      const message = error.value instanceof Table ? error.message : `ERR ${error.message}`;
      throw new Refusal(`${message} script: ${sha}, on @user_script.`);
    }
  }

  #redis(): Table {
    const redis = new Table();
    redis.set('call', (...args) => [this.#call(args)]);
    redis.set('pcall', (...args) => {
      try {
        return [this.#call(args)];
      } catch (error) {
        if (error instanceof LuaError) return [error.value];
        throw error;
      }
    });
    return redis;
  }

  #call(args: readonly Value[]): Value {
    const [name = '', ...words] = args.map(word);
    const command = COMMANDS.get(name.toLowerCase());
    if (command === undefined) throw new Error(`the model does not know ${name}`);
    if (command.writes && this.#state.refusal !== null) throw refused(this.#state.refusal);
    const isFull = this.#state.isFull && !this.#hasWritten && !this.#worksWhenFull;
    if (isFull && command.needsMemory) throw refused(FULL);
    if (command.writes) this.#hasWritten = true;
    const refusal = this.#state.guard?.(name.toLowerCase(), words) ?? null;
    if (refusal !== null) throw refused(refusal);
    try {
      if (command.writes) this.#ground.wrote();
      return luaValue(command.run(this.#ground, words));
    } catch (error) {
      if (error instanceof Refusal) throw refused(error.message);
      throw error;
    }
  }
}

export function fullRefusal(): Refusal {
  return new Refusal(FULL);
}

function refused(message: string): LuaError {
  const problem = new Table();
  problem.set('err', message);
  return new LuaError(problem);
}

function word(value: Value): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : numberText(value);
  throw new LuaError('ERR Lua redis lib command arguments must be strings or integers');
}

/** As a script sees a reply: nothing is false. */
function luaValue(reply: Reply): Value {
  if (reply === null) return false;
  if (typeof reply === 'number' || typeof reply === 'string') return reply;
  if (reply instanceof Status) {
    const table = new Table();
    table.set('ok', reply.text);
    return table;
  }
  if (reply instanceof Refusal) return refused(reply.message).value;
  return new Table(reply.map(luaValue));
}

/** As a client sees what a script returns. */
function replyOf(value: Value): Reply {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return Math.trunc(value);
  if (value === true) return 1;
  if (!(value instanceof Table)) return null;
  const problem = value.get('err');
  if (typeof problem === 'string') return new Refusal(problem);
  const status = value.get('ok');
  if (typeof status === 'string') return status === 'OK' ? OK : new Status(status);
  const end = value.list.indexOf(undefined);
  return (end === -1 ? value.list : value.list.slice(0, end)).map(replyOf);
}
