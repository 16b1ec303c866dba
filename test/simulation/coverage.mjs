/**
 * `npm run simulate -- --coverage`: what the seeds run of the sources, as V8 counts it: functions and branches of each folder, and a list
 * of those that no seed ran.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { convert } from 'ast-v8-to-istanbul';
import istanbul from 'istanbul-lib-coverage';
import { parseAst } from 'rolldown/parseAst';
import { transformSync } from 'rolldown/utils';

const FOLDERS = ['backplane', 'client', 'connection', 'node'].map((name) => `src/${name}/`);

/** Begins to count, before the bundle is loaded. Returns what ends it: it prints the table, and writes the list to a file. */
export async function countCoverage(bundle) {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  return async (listFile) => {
    const { result } = await session.post('Profiler.takePreciseCoverage');
    session.disconnect();
    const counted = result.find(({ url }) => url === pathToFileURL(bundle).href);
    const files = await filesOf(bundle, counted);
    const list = files.flatMap(neverRun);
    writeFileSync(listFile, `${list.join('\n')}\n`);
    console.log(`${tableOf(files)}\n\n${list.length} functions and branches never ran: ${listFile}`);
  };
}

async function filesOf(bundle, coverage) {
  const map = istanbul.createCoverageMap(
    await mapped(readFileSync(bundle, 'utf8'), JSON.parse(readFileSync(`${bundle}.map`, 'utf8')), coverage),
  );
  const paths = FOLDERS.flatMap((folder) =>
    readdirSync(folder, { recursive: true })
      .filter((name) => /\.tsx?$/.test(name))
      .map((name) => folder + name),
  );
  const files = [];
  for (const path of paths.sort()) {
    const file = resolve(path);
    const isThere = map.files().includes(file);
    if (!isThere) map.merge(await idle(file));
    files.push({ path, isThere, coverage: map.fileCoverageFor(file) });
  }
  return files;
}

function mapped(code, sourceMap, coverage) {
  return convert({ ast: parseAst(code), code, coverage, sourceMap });
}

/** A file that is not in the bundle: nothing of it runs. */
async function idle(file) {
  const { code, map } = transformSync(file, readFileSync(file, 'utf8'), { sourcemap: true });
  const ranges = [{ startOffset: 0, endOffset: code.length, count: 0 }];
  const functions = [{ functionName: '', isBlockCoverage: true, ranges }];
  const data = await mapped(code, map, { scriptId: '', url: pathToFileURL(file).href, functions });
  return { [file]: data[file] ?? istanbul.createFileCoverage(file).data };
}

/** By folder: a folder counts what is right in it, and the four count all of theirs. */
function tableOf(files) {
  const folders = new Map();
  for (const { path, coverage } of files) {
    const own = path.slice(0, path.lastIndexOf('/') + 1);
    const all = FOLDERS.find((folder) => path.startsWith(folder));
    for (const name of [`${own}*`, `${all}**`]) {
      const summary = folders.get(name) ?? istanbul.createCoverageSummary();
      summary.merge(coverage.toSummary());
      folders.set(name, summary);
    }
  }
  const cell = ({ covered, total }) =>
    total === 0 ? '' : `${covered} of ${total} (${((covered / total) * 100).toFixed(1)} %)`;
  const rows = [...folders]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { functions, branches }]) => `| \`${name}\` | ${cell(functions)} | ${cell(branches)} |`);
  return ['| files | functions | branches |', '| --- | ---: | ---: |', ...rows].join('\n');
}

/** The branches of a function that never ran go without saying. */
function neverRun({ path, isThere, coverage }) {
  const { fnMap, f, branchMap, b } = coverage.data;
  if (!isThere) return Object.keys(fnMap).length === 0 ? [] : [`${path} is not simulated`];
  const idle = Object.keys(fnMap).filter((id) => f[id] === 0);
  const isIdle = ({ start }) => idle.some((id) => isWithin(start, fnMap[id].loc));
  const functions = idle.map((id) => [fnMap[id].loc.start, `function ${fnMap[id].name}`]);
  const branches = Object.entries(branchMap).flatMap(([id, { type, loc, locations }]) =>
    locations
      .map((at, i) => [at.start?.line === undefined ? loc : at, i])
      .filter(([at, i]) => b[id][i] === 0 && !isIdle(at))
      .map(([at, i]) => [at.start, `${type}${type === 'if' && i === 1 ? ' not taken' : ''}`]),
  );
  const source = readFileSync(path, 'utf8').split('\n');
  return [...functions, ...branches]
    .sort(([a], [b]) => a.line - b.line || a.column - b.column)
    .map(([{ line, column }, what]) => `${path}:${line}:${column} ${what}: ${source[line - 1]?.trim()}`);
}

function isWithin({ line, column }, { start, end }) {
  const isAfter = line > start.line || (line === start.line && column >= start.column);
  return isAfter && (line < end.line || (line === end.line && column <= end.column));
}
