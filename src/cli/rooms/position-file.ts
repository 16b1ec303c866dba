/**
 * A file that holds where `sub` stands in each room: `{"<room>": ["<epoch>", <offset>]}`. It moves after output has left the
 * process, and is replaced as a whole, so that a `sub` that is killed repeats messages rather than loses them.
 */
import { readFileSync, realpathSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import type { Position } from '../../client/public.ts';
import { isPosition } from '../../protocol/commands.ts';

export class PositionFile {
  readonly #path: string;
  readonly #positions: Map<string, Position>;
  readonly #failed: (error: Error) => void;
  #isChanged = false;
  #saving: Promise<void> | null = null;

  /** Reads what is there. Throws, with a sentence, for a file that is none of these. `failed`: it could not be written. */
  constructor(path: string, failed: (error: Error) => void) {
    this.#failed = failed;
    this.#positions = readPositions(path);
    // A link stays a link.
    this.#path = exists(path) ? realpathSync(path) : path;
  }

  of(room: string): Position | null {
    return this.#positions.get(room) ?? null;
  }

  set(room: string, position: Position): void {
    this.#positions.set(room, position);
    this.#isChanged = true;
  }

  /** Writes what has changed, one write at a time; what changes meanwhile comes with the next one. */
  save(): void {
    if (this.#isChanged) this.#saving ??= this.#saveAll();
  }

  /** Resolves when everything is written, also when nothing has changed: then it shows that the file can be written. */
  async saved(): Promise<void> {
    this.#isChanged = true;
    await this.#saving;
    await this.#saveAll();
  }

  async #saveAll(): Promise<void> {
    try {
      while (this.#isChanged) {
        this.#isChanged = false;
        await this.#replace(`${JSON.stringify(Object.fromEntries(this.#positions))}\n`);
      }
    } catch (error) {
      this.#failed(new Error(`cannot write ${this.#path}: ${(error as Error).message}`));
    } finally {
      this.#saving = null;
    }
  }

  async #replace(text: string): Promise<void> {
    const next = `${this.#path}.tmp`;
    const file = await open(next, 'w');
    try {
      await file.writeFile(text);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(next, this.#path);
  }
}

function readPositions(path: string): Map<string, Position> {
  if (!exists(path)) return new Map();
  const text = readFileSync(path, 'utf8');
  let value: unknown;
  try {
    value = text.trim() === '' ? {} : JSON.parse(text);
  } catch {
    throw notOne(path);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw notOne(path);
  const entries = Object.entries(value);
  if (!entries.every(([, position]) => isPosition(position))) throw notOne(path);
  return new Map(entries);
}

function notOne(path: string): Error {
  return new Error(`${path} is no position file: it must hold {"<room>": ["<epoch>", <offset>]}`);
}

function exists(path: string): boolean {
  try {
    realpathSync(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
