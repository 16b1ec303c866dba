import type { Settings } from '../world/settings.ts';
import type { ShapeName } from '../world/shapes.ts';

/** A mistake that is planted in the shipping source, to see whether the simulation finds it. */
export interface Fault {
  readonly name: string;
  /** Relative to `src/`. */
  readonly file: string;
  /** Stands there exactly once. */
  readonly find: string;
  readonly replace: string;
  /** What it breaks, for the table. */
  readonly breaks: string;
  /** Every other seed runs like this, where chance alone takes long to get there. The table tells which seed found it. */
  readonly hint?: Hint;
  /** Why no run finds it. */
  readonly unfound?: string;
  /** Why nothing that anyone can observe differs: it is not tried, and does not count. */
  readonly harmless?: string;
}

/** What a run has more of than others. */
export interface Hint {
  /** Default: `ordinary`. */
  readonly shape?: ShapeName;
  /** These kinds of faults and no others; see `world/faults.ts`. */
  readonly faultKinds?: readonly string[];
  readonly faultsPerMinute?: number;
  readonly actionsPerSecond?: number;
  readonly stormMs?: number;
  /** How nodes are configured; see `world/settings.ts`. */
  readonly settings?: Partial<Settings>;
  /** How often these actions are drawn, in place of their own weights; see `world/actions.ts`. */
  readonly actions?: Readonly<Record<string, number>>;
}

/** As `bundle.mjs` takes it. */
export interface Mutation {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** The source with the fault in it. Throws where it does not fit: the source has changed, and the list must follow. */
export function planted({ name, file, find, replace }: Fault, source: string): string {
  const times = source.split(find).length - 1;
  if (times !== 1) throw new Error(`${name}: src/${file} has ${times} times, not once: ${find}`);
  const changed = source.replace(find, () => replace);
  if (changed === source) throw new Error(`${name} changes nothing`);
  return changed;
}

const LOADER = 'src/backplane/redis/scripts/scripts.ts';
const DIGEST = "this.sha = createHash('sha1').update(this.#source).digest('hex');";

/** Nodes read scripts when they start, so what is changed for a script is the code that reads it. */
export function mutationOf({ file, find, replace }: Fault): Mutation {
  const script = /([a-z]+)\.lua$/.exec(file)?.[1];
  if (script === undefined) return { file: `src/${file}`, from: find, to: replace };
  const change = `.split(${JSON.stringify(find)}).join(${JSON.stringify(replace)})`;
  return {
    file: LOADER,
    from: DIGEST,
    to: `if (name === '${script}') this.#source = this.#source${change};\n    ${DIGEST}`,
  };
}
