import { readFileSync } from 'node:fs';

/** The token in a file. Throws, with a sentence, where there is none. */
export function readToken(file: string): string {
  let token: string;
  try {
    token = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new Error(`--token-file: ${(error as Error).message}`);
  }
  if (token === '') throw new Error(`--token-file: ${file} is empty`);
  return token;
}
