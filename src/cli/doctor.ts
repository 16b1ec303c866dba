/** `roomcast doctor`: checks a deployment before its users do, and says what is wrong and how to fix it. */

import { openFilesLimit } from '../app/open-files-limit.ts';
import { startProblems } from '../app/start-problems.ts';
import type { Config } from '../config/config.ts';
import type { Flags } from '../config/flags.ts';
import { loadConfig } from '../config/load.ts';
import { capacity } from '../transport/capacity.ts';
import { checkAccess } from './doctor/access.ts';
import { checkClocks } from './doctor/clocks.ts';
import { checkCluster } from './doctor/cluster.ts';
import { examineRedis } from './doctor/examine-redis.ts';
import { type Finding, ok, problem } from './doctor/finding.ts';
import { checkKernel, kernelFacts } from './doctor/kernel.ts';
import { checkKeySet } from './doctor/key-set.ts';
import { checkNode } from './doctor/node.ts';
import { checkOpenFiles } from './doctor/open-files.ts';
import { type NodeFacts, probeNode } from './doctor/probe-node.ts';
import { checkReceiveMemory, memoryBytes } from './doctor/receive-memory.ts';
import { exitCodeFor, jsonReport, textReport } from './doctor/report.ts';
import { checkTls } from './doctor/tls.ts';
import type { Io } from './io.ts';
import { withoutSecrets } from './logger.ts';

export interface DoctorOptions {
  readonly config?: string;
  /** Base URLs of the nodes, `http:` or `https:`. */
  readonly node?: readonly URL[];
  /** Connections that one node should hold. Default: `websocket.maxConnections`. */
  readonly connections?: number;
  readonly token?: string;
  readonly json?: boolean;
  readonly strict?: boolean;
}

/** As long as a person waits without suspecting a hang; more than any healthy answer takes. */
const TIMEOUT_MS = 5000;
/**
 * Without a token, a node that requires one says nothing: this is enough to see that upgrades get through.
 */
const NO_HELLO_MS = 1000;

/** Prints its findings. Returns the exit code: 1 for problems, with `strict` for warnings too, else 0. */
export async function doctorCommand(io: Io, options: DoctorOptions & Flags): Promise<number> {
  const { config: file, node, connections, token, json, strict, ...flags } = options;
  const loaded = loadConfig({ file, env: io.env, flags });
  const findings =
    'problems' in loaded ? loaded.problems.map(configurationProblem) : await examine(loaded.config, options);
  const report = json === true ? jsonReport(findings) : textReport(findings);
  io.stdout(withoutSecrets(report));
  return exitCodeFor(findings, strict === true);
}

async function examine(config: Config, options: DoctorOptions): Promise<Finding[]> {
  const { node: urls = [], connections = config.websocket.maxConnections, token = null } = options;
  const needsToken = token === null && asksForTokens(config);
  const probing = {
    wsPath: config.websocket.path,
    token,
    timeoutMs: TIMEOUT_MS,
    socketTimeoutMs: needsToken ? NO_HELLO_MS : TIMEOUT_MS,
  };
  const [redis, keySet, nodes] = await Promise.all([
    examineRedis(config, TIMEOUT_MS),
    checkKeySet(config),
    Promise.all(urls.map((url) => probeNode(url, probing))),
  ]);
  const clocks = [...redis.clocks, ...nodes.flatMap(({ clock }) => (clock === null ? [] : [clock]))];
  return [
    ...examineConfiguration(config),
    ...checkAccess(config),
    ...keySet,
    ...checkTls(config, Date.now()),
    ...checkOpenFiles(openFilesLimit(), connections),
    ...checkReceiveMemory(
      capacity({ ...config.websocket, maxConnections: connections }, openFilesLimit()),
      config.websocket.maxPayloadBytes,
      memoryBytes(),
    ),
    ...checkKernel(kernelFacts()),
    ...redis.findings,
    ...examineNodes(nodes, needsToken),
    ...checkCluster(config, nodes),
    ...checkClocks(clocks),
  ];
}

function examineConfiguration(config: Config): Finding[] {
  const problems = startProblems(config);
  return problems.length === 0
    ? [ok('configuration', 'the configuration is valid')]
    : problems.map(configurationProblem);
}

function configurationProblem(says: string): Finding {
  return problem(
    'configuration',
    says,
    'a node does not start like this; docs/configuration.md has all settings',
  );
}

function examineNodes(nodes: readonly NodeFacts[], needsToken: boolean): Finding[] {
  if (nodes.length === 0) {
    return [ok('nodes', 'no node was checked', 'name each with --node <url>')];
  }
  return nodes.flatMap((facts) => checkNode(facts, { needsToken }));
}

function asksForTokens({ auth: { secret, publicKeyFile, jwksUrl } }: Config): boolean {
  return (secret ?? publicKeyFile ?? jwksUrl) !== null;
}
