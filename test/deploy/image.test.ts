/** The build stage of deploy/Dockerfile, without a container engine: the files that it gets are enough. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');

/** What .dockerignore lets in. */
const sent = read('.dockerignore')
  .split('\n')
  .filter((line) => line.startsWith('!'))
  .map((line) => line.slice(1));

/** What a stage copies from the checkout, with the folder that it goes to. */
function copiesOf(stage: string): [from: string, to: string][] {
  const body = new RegExp(`^FROM \\S+ AS ${stage}\\n([^]*?)^FROM`, 'm').exec(read('deploy/Dockerfile'))![1]!;
  return [...body.matchAll(/^COPY (.+)$/gm)].flatMap(([, words]) => {
    const paths = words!.split(' ');
    const to = paths.pop()!;
    return paths.map((from): [string, string] => [
      from,
      to.endsWith('/') ? join(to, from.split('/').at(-1)!) : to,
    ]);
  });
}

it('the image builds from what it copies, the client for pages included', () => {
  const app = mkdtempSync(join(tmpdir(), 'roomcast-image-'));
  for (const [from, to] of copiesOf('build')) {
    const files = from === '.ci' ? sent.filter((path) => path.startsWith('.ci/')) : [from];
    for (const file of files) {
      expect(sent).toContain(file);
      cpSync(join(ROOT, file), join(app, from === '.ci' ? file : to), { recursive: true });
    }
  }
  symlinkSync(join(ROOT, 'node_modules'), join(app, 'node_modules'));
  execFileSync('npm', ['run', '-s', 'build'], { cwd: app, stdio: 'pipe' });
  for (const file of ['main.js', 'client.js', 'client/node.js', 'transport/http/demo/chat.js']) {
    expect(existsSync(join(app, 'dist', file))).toBe(true);
  }
  rmSync(app, { recursive: true });
}, 120_000);
