// Checks commit messages: `area: imperative sentence`, at most 72 characters, an area from the list, no full stop, a blank second line.
//
//   node .ci/commits.mjs origin/main..HEAD     all commits of a range, merges left out
//   node .ci/commits.mjs --message <file>      one message, as the hook in .ci/hooks does
//
// Ours and not commitlint, which is 80 packages and 63 MB for these rules.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The folders of src/, and what is beside them. */
const AREAS = [
  ...[
    'app',
    'auth',
    'backplane',
    'cli',
    'client',
    'config',
    'connection',
    'hub',
    'load',
    'metrics',
    'node',
    'protocol',
  ],
  ...['transport', 'http', 'util', 'bench', 'demo', 'deploy', 'docs', 'project', 'python', 'test', 'testing'],
];
const LONGEST_SUBJECT = 72;
/** What git writes by itself. Commits for `git rebase --autosquash` may be made, and must be gone before a merge. */
const GENERATED = /^(Merge|Revert) /;
const UNFINISHED = /^(fixup|squash|amend)! /;

function problemsOf(message, isFinal) {
  const [subject = '', second = ''] = message.split('\n');
  if (GENERATED.test(subject)) return [];
  if (UNFINISHED.test(subject)) return isFinal ? ['is to be squashed before it is merged'] : [];
  const problems = [];
  const parts = /^([a-z-]+): (.+)$/.exec(subject);
  if (parts === null) problems.push('must be `area: imperative sentence`');
  else if (!AREAS.includes(parts[1])) {
    problems.push(`has an unknown area, "${parts[1]}": use one of ${AREAS.join(', ')}`);
  }
  const length = [...subject].length;
  if (length > LONGEST_SUBJECT) problems.push(`has ${length} characters: at most ${LONGEST_SUBJECT}`);
  if (subject.endsWith('.')) problems.push('must not end with a full stop');
  if (second.trim() !== '') problems.push('must be followed by a blank line');
  return problems;
}

function report(message, isFinal) {
  const problems = problemsOf(message, isFinal);
  for (const problem of problems) console.error(`"${message.split('\n', 1)[0]}" ${problem}`);
  return problems.length;
}

function messagesIn(range) {
  const log = execFileSync('git', ['log', '--no-merges', '-z', '--format=%B', range], { encoding: 'utf8' });
  return log.split('\0').filter((message) => message !== '');
}

const [first, file] = process.argv.slice(2);
if (first === undefined || (first === '--message' && file === undefined)) {
  console.error('usage: node .ci/commits.mjs <range> | --message <file>');
  process.exit(2);
}
const count =
  first === '--message'
    ? report(readFileSync(file, 'utf8'), false)
    : messagesIn(first).reduce((sum, message) => sum + report(message, true), 0);
if (count > 0) process.exitCode = 1;
