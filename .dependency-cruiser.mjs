/**
 * Who may import whom in src/; in bench/ and test/ only circles are forbidden. `npm run check` reads this, and so does
 * test/unit/imports.test.ts, which also shows that each rule bites. The reasons are in src/README.md, "The house".
 *
 * Version 17 is the newest that runs on Node 20. Sources are parsed by swc, because TypeScript 7 has no parser that can
 * be called from JavaScript yet. So every import counts, `import type` as well.
 */

/** The folders of `backplane/redis/`: what the parts share, and the parts. */
const REDIS_BASE = ['keys', 'scripts', 'link'].map((name) => `backplane/redis/${name}`);
const REDIS_PARTS = [
  'lineage',
  'publish',
  'subscribe',
  'reads',
  'acks',
  'denials',
  'presence',
  'health',
  'start',
].map((name) => `backplane/redis/${name}`);
/** Those that work on one server. The others ask whichever has the room. */
const SHARD_PARTS = ['lineage', 'publish', 'subscribe', 'health', 'start'].map(
  (name) => `backplane/redis/${name}`,
);

/**
 * One row for each folder: the folders and packages that it may import (its own files always), and whether it may use
 * `node:` modules. It may not where the code also runs in browsers or does no I/O.
 */
const TABLE = {
  util: { folders: [], packages: [], node: false },
  protocol: { folders: ['util'], packages: ['msgpackr'], node: false },
  metrics: { folders: ['util'], packages: ['prom-client'], node: true },
  config: { folders: ['util'], packages: ['zod', 'yaml'], node: true },
  // Of the configuration what it says about a room, here and in `node/`.
  auth: { folders: ['config', 'protocol', 'util'], packages: ['jose'], node: true },
  hub: { folders: ['protocol', 'util'], packages: [], node: false },
  connection: { folders: ['protocol', 'auth', 'metrics', 'util'], packages: [], node: false },
  backplane: { folders: ['protocol', 'metrics', 'util'], packages: [], node: true },
  'backplane/memory': { folders: ['backplane', 'protocol', 'metrics', 'util'], packages: [], node: true },
  // Puts its folders together. They know no other of them than those below: the keys, the scripts, the link.
  'backplane/redis': {
    folders: [
      ...REDIS_BASE,
      ...REDIS_PARTS,
      'backplane/redis/shard',
      'backplane/redis/cluster',
      'backplane',
      'util',
    ],
    packages: [],
    node: true,
  },
  // One server: what publishes, hears and looks after it.
  'backplane/redis/shard': {
    folders: [...REDIS_BASE, ...SHARD_PARTS, 'backplane', 'util'],
    packages: [],
    node: false,
  },
  'backplane/redis/cluster': {
    folders: [
      ...REDIS_BASE,
      'backplane/redis/lineage',
      'backplane/redis/shard',
      'backplane/redis/start',
      'backplane',
      'util',
    ],
    packages: ['ioredis'],
    node: true,
  },
  'backplane/redis/keys': { folders: [], packages: ['cluster-key-slot'], node: false },
  'backplane/redis/scripts': { folders: ['backplane'], packages: ['ioredis'], node: true },
  'backplane/redis/link': { folders: ['backplane', 'util'], packages: ['ioredis'], node: true },
  ...Object.fromEntries(
    REDIS_PARTS.map((part) => [
      part,
      { folders: [...REDIS_BASE, 'backplane', 'util'], packages: ['ioredis'], node: true },
    ]),
  ),
  // Of the backplane only the ports: neither twin; of the configuration what it says about a room.
  node: {
    folders: [
      'node/rooms',
      'node/catch-up',
      'node/membership',
      'node/delivery',
      'node/reads',
      'config',
      'hub',
      'connection',
      'backplane',
      'auth',
      'protocol',
      'metrics',
      'util',
    ],
    packages: [],
    node: true,
  },
  'node/rooms': {
    folders: ['config', 'hub', 'backplane', 'protocol', 'metrics', 'util'],
    packages: [],
    node: false,
  },
  'node/catch-up': {
    folders: ['node/rooms', 'connection', 'backplane', 'protocol', 'metrics', 'util'],
    packages: [],
    node: false,
  },
  'node/membership': {
    folders: [
      'node/rooms',
      'node/catch-up',
      'config',
      'hub',
      'connection',
      'backplane',
      'auth',
      'protocol',
      'metrics',
      'util',
    ],
    packages: [],
    node: false,
  },
  'node/reads': {
    folders: ['node/membership', 'config', 'connection', 'backplane', 'protocol', 'metrics', 'util'],
    packages: [],
    node: false,
  },
  'node/delivery': {
    folders: [
      'node/rooms',
      'node/catch-up',
      'hub',
      'connection',
      'backplane',
      'auth',
      'protocol',
      'metrics',
      'util',
    ],
    packages: [],
    node: false,
  },
  transport: {
    folders: ['node', 'connection', 'auth', 'protocol', 'metrics', 'util'],
    packages: ['uWebSockets.js'],
    node: true,
  },
  // Runs in browsers. `ws` takes the place of the WebSocket that Node has from version 22 on, and is loaded only there.
  client: { folders: ['protocol', 'util'], packages: ['ws'], node: false },
  'client/react': { folders: ['client', 'protocol'], packages: ['react'], node: false },
  load: { folders: ['protocol', 'util'], packages: [], node: true },
  // What `app` and `testing` both build: a node without a way in.
  assembly: {
    folders: ['node', 'connection', 'backplane', 'auth', 'config', 'metrics', 'util'],
    packages: [],
    node: false,
  },
  // A broker in the process of a test: no port, no addon.
  testing: {
    folders: [
      'assembly',
      'node',
      'connection',
      'backplane',
      'backplane/memory',
      'auth',
      'config',
      'protocol',
      'util',
    ],
    packages: ['jose'],
    node: true,
  },
  // Builds the parts of a node. All but the commands.
  app: {
    folders: [
      'assembly',
      'backplane',
      'backplane/memory',
      'backplane/redis',
      'node',
      'transport',
      'connection',
      'auth',
      'config',
      'metrics',
      'util',
    ],
    packages: [],
    node: true,
  },
  cli: { folders: 'all', packages: ['pino', 'pino-pretty', 'commander', 'yaml', 'ws'], node: true },
  // main.ts and index.ts.
  '': { folders: 'all', packages: ['pino', 'commander'], node: true },
};

const FOLDERS = Object.keys(TABLE);
const NPM = ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-bundled', 'npm-no-pkg', 'npm-unknown'];
const escaped = (text) => text.replaceAll('.', '[.]');

/** What matches the files of a folder. Rows of their own inside it (`backplane/redis`) are other folders. */
function filesOf(folder) {
  if (folder === '') return '^src/[^/]+$';
  const inner = FOLDERS.filter((other) => other.startsWith(`${folder}/`)).map((other) =>
    other.slice(folder.length + 1),
  );
  return inner.length === 0 ? `^src/${folder}/` : `^src/${folder}/(?!(${inner.join('|')})/)`;
}

function rulesOf(folder) {
  const { folders, packages, node } = TABLE[folder];
  const name = folder === '' ? 'root' : folder.replaceAll('/', '-');
  const from = { path: filesOf(folder) };
  const mayImport = folders === 'all' ? ['^src/'] : [folder, ...folders].map(filesOf);
  const rules = [
    {
      name: `${name}-folders`,
      comment: `${folder || 'src'} may import ${folders === 'all' ? 'all of src' : folders.join(', ') || 'no other folder'}`,
      from,
      to: { dependencyTypes: ['local'], pathNot: mayImport },
    },
    {
      name: `${name}-packages`,
      comment: `${folder || 'src'} may import the packages: ${packages.join(', ') || 'none'}`,
      from,
      to: { dependencyTypes: NPM, pathNot: packages.map((one) => `/?node_modules/${escaped(one)}/`) },
    },
  ];
  if (node) return rules;
  const comment = `${folder} does no I/O, or also runs in browsers`;
  return [...rules, { name: `${name}-node`, comment, from, to: { dependencyTypes: ['core'] } }];
}

const forbidden = [
  ...FOLDERS.flatMap(rulesOf),
  {
    name: 'folder-without-a-row',
    comment: 'add a row for the folder to TABLE in .dependency-cruiser.mjs',
    from: { path: '^src/', pathNot: FOLDERS.map(filesOf) },
    to: {},
  },
  {
    name: 'one-file-for-uwebsockets',
    comment: 'uWebSockets.js is imported by src/transport/uws.ts alone',
    from: { path: '^src/', pathNot: '^src/transport/uws[.]ts$' },
    to: { path: '/?node_modules/uWebSockets[.]js/' },
  },
  {
    name: 'testing-without-addon',
    comment: 'what tests import loads no native addon, not even by way of another folder',
    from: { path: '^src/testing/' },
    to: { path: '^src/transport/|/?node_modules/uWebSockets[.]js/', reachable: true },
  },
  {
    name: 'not-found',
    comment: 'the file or package does not exist',
    from: { path: '^src/' },
    to: { couldNotResolve: true },
  },
  {
    name: 'no-circle',
    comment:
      'files import each other in a circle, be it for types: move what they share to a file of its own',
    from: { path: '^(src|bench|test)/' },
    to: { circular: true },
  },
];

export default {
  forbidden: forbidden.map((rule) => ({ ...rule, severity: 'error' })),
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    // Components of tests: swc is called in a way that reads no JSX, and src/ has none. And a page: it imports what the
    // node serves beside it.
    exclude: { path: ['^test/.*[.]tsx$', '^src/transport/http/demo/'] },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
    },
  },
};
