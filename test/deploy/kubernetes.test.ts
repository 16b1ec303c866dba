import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { NodeMetrics } from '../../src/metrics/node-metrics.ts';
import { testRegistry } from '../support/metrics.ts';

const FOLDER = fileURLToPath(new URL('../../deploy/kubernetes/', import.meta.url));

type Labels = Readonly<Record<string, string>>;

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

/** As much of the manifests as is looked at here. */
interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Labels };
  // biome-ignore lint/suspicious/noExplicitAny: a manifest's shape is its kind's; tests fail where it is another.
  readonly spec: any;
  readonly data?: Labels;
  readonly stringData?: Labels;
}

function read(path: string): Manifest {
  return parse(readFileSync(`${FOLDER}${path}`, 'utf8')) as Manifest;
}

const files = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml');
const manifests = [...files, 'monitoring/service-monitor.yaml'].map(read);

function only(kind: string): Manifest {
  const found = manifests.filter((manifest) => manifest.kind === kind);
  expect(found).toHaveLength(1);
  return found[0]!;
}

const pod = () => only('Deployment').spec.template;
const container = () => pod().spec.containers[0];

/** Whether a selector's labels are all among these. */
function selects(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(([name, value]) => labels[name] === value);
}

describe('the manifests', () => {
  it('are all in the kustomization but for the example of a secret', () => {
    const { resources } = parse(readFileSync(`${FOLDER}kustomization.yaml`, 'utf8')) as {
      resources: string[];
    };
    expect([...resources, 'secret.example.yaml'].sort()).toEqual(files.sort());
  });

  it.each(manifests.map((manifest) => [manifest.kind, manifest] as const))(
    '%s has an API version and a name',
    (_, { apiVersion, metadata }) => {
      expect(apiVersion).toMatch(/^([a-z0-9.]+\/)?v\d+$/);
      expect(metadata.name).toBe('roomcast');
    },
  );

  it('select the pods of the deployment, all of them', () => {
    const { labels } = pod().metadata as { labels: Labels };
    const selectors: Labels[] = [
      only('Deployment').spec.selector.matchLabels,
      only('Service').spec.selector,
      only('PodDisruptionBudget').spec.selector.matchLabels,
      only('NetworkPolicy').spec.podSelector.matchLabels,
      ...pod().spec.topologySpreadConstraints.map((each: Manifest['spec']) => each.labelSelector.matchLabels),
    ];
    for (const selector of selectors) {
      expect(Object.keys(selector).length).toBeGreaterThan(0);
      expect(selects(selector, labels)).toBe(true);
    }
  });

  it('refer to ports, settings and objects that are there', () => {
    const names = container().ports.map(({ name }: { name: string }) => name);
    const service = only('Service');
    expect(names).toContain(service.spec.ports[0].targetPort);
    for (const { backend } of only('Ingress').spec.rules[0].http.paths) {
      expect(backend.service).toEqual({ name: 'roomcast', port: { name: service.spec.ports[0].name } });
    }
    const { spec } = only('ServiceMonitor');
    expect(spec.endpoints[0].port).toBe(service.spec.ports[0].name);
    expect(selects(spec.selector.matchLabels, service.metadata.labels!)).toBe(true);
    expect(only('HorizontalPodAutoscaler').spec.scaleTargetRef).toMatchObject({
      kind: 'Deployment',
      name: only('Deployment').metadata.name,
    });
    expect(pod().spec.serviceAccountName).toBe(only('ServiceAccount').metadata.name);
  });

  it('probe for life and for readiness each where the node answers it', () => {
    const { livenessProbe, readinessProbe, startupProbe } = container() as Record<string, Probe>;
    expect(livenessProbe!.httpGet).toEqual({ path: '/healthz', port: 'http' });
    expect(startupProbe!.httpGet).toEqual({ path: '/healthz', port: 'http' });
    expect(readinessProbe!.httpGet).toEqual({ path: '/readyz', port: 'http' });
  });

  it('give nodes settings that they take', () => {
    const sources = container().envFrom.map((each: Manifest['spec']) =>
      each.configMapRef ? only('ConfigMap').data : only('Secret').stringData,
    );
    const env: Record<string, string> = Object.assign({ NODE_ENV: 'production' }, ...sources);
    expect(loadConfig({ env })).toMatchObject({
      config: { trustProxy: true, production: true, demo: false },
    });
  });

  it('leave a pod the time that its drain takes', () => {
    const { ROOMCAST_DRAIN_WINDOW_MS } = only('ConfigMap').data!;
    const preStopS = Number(container().lifecycle.preStop.exec.command.at(-1));
    const neededS = preStopS + Number(ROOMCAST_DRAIN_WINDOW_MS) / 1000 + 2;
    expect(pod().spec.terminationGracePeriodSeconds).toBeGreaterThan(neededS);
  });

  it('hold pods to the restricted standard', () => {
    expect(pod().spec.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(container().securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  it('scale by a metric that nodes have', async () => {
    const [{ pods }] = only('HorizontalPodAutoscaler').spec.metrics;
    expect(await testRegistry(new NodeMetrics()).metrics()).toContain(`# TYPE ${pods.metric.name} gauge`);
  });
});
