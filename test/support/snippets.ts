/** The fenced blocks of a Markdown file, or of the comments of a TypeScript file. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

export interface Snippet {
  /** Path from the root of the repository. */
  readonly file: string;
  /** Of the fence that opens it, from 1. */
  readonly line: number;
  /** `js`, `sh` and so on; empty where the fence names none. */
  readonly language: string;
  readonly code: string;
}

export function snippetsOf(file: string): Snippet[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const lines = text.split('\n').map((line) => (file.endsWith('.ts') ? line.replace(/^ \* ?/, '') : line));
  const snippets: Snippet[] = [];
  for (let at = 0; at < lines.length; at++) {
    const language = /^```(\w*)$/.exec(lines[at]!)?.[1];
    if (language === undefined) continue;
    const end = lines.indexOf('```', at + 1);
    if (end === -1) throw new Error(`${file}:${at + 1}: a block that does not end`);
    snippets.push({ file, line: at + 1, language, code: `${lines.slice(at + 1, end).join('\n')}\n` });
    at = end;
  }
  return snippets;
}
