import { type Command, InvalidArgumentError } from 'commander';

/** The options of `roomcast doctor` besides the settings: see `DoctorOptions`. */
export function addDoctorOptions(command: Command): Command {
  return command
    .option('--node <url>', 'base URL of a node, such as http://node1:8080. May be repeated', appendedUrl)
    .option('--connections <number>', 'connections that one node should hold', wholeNumber)
    .option('--token <token>', 'token to connect with, if nodes require one')
    .option('--json', 'print JSON')
    .option('--strict', 'fail on warnings too');
}

/** Accepts `ws:` for `http:`, as people copy what their clients use. */
function appendedUrl(text: string, before: readonly URL[] = []): URL[] {
  const url = URL.canParse(text) ? new URL(text.replace(/^ws/, 'http')) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new InvalidArgumentError('It must be a URL such as http://node1:8080.');
  }
  return [...before, url];
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}
