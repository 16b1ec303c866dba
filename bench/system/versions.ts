import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What rows are made of, as package.json pins it. */
const PACKAGES = [
  'uWebSockets.js',
  'ioredis',
  'msgpackr',
  'ws',
  'socket.io',
  '@socket.io/redis-adapter',
  '@socket.io/redis-streams-adapter',
];

interface PackageFile {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** Of the broker, with the git commit of its checkout (and a `+` where its source differs from that), and of the packages. */
export function describeVersions(root: string, roomcastMain: string): Record<string, string> {
  const { version, dependencies, devDependencies } = packageFile(join(root, 'package.json'));
  const pinned = { ...dependencies, ...devDependencies };
  const packages = PACKAGES.flatMap((name) =>
    pinned[name] ? [[name, pinned[name].replace(/^npm:/, '')] as const] : [],
  );
  return { roomcast: `${version} at ${commitOf(dirname(roomcastMain))}`, ...Object.fromEntries(packages) };
}

function packageFile(path: string): PackageFile {
  return JSON.parse(readFileSync(path, 'utf8')) as PackageFile;
}

function commitOf(directory: string): string {
  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', directory, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  try {
    const commit = git('rev-parse', '--short=10', 'HEAD').trim();
    return git('status', '--porcelain', '--', ':/src', ':/package.json') === '' ? commit : `${commit}+`;
  } catch {
    return 'an unknown commit';
  }
}
