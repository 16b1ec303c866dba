/** The dashboards as files, as far as tests look at them. */
import { readFileSync } from 'node:fs';

export const DASHBOARDS = ['overview', 'node', 'delivery'] as const;

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition: string }[] };
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
}

export function readDashboard(name: (typeof DASHBOARDS)[number]): Dashboard {
  const file = new URL(`../../deploy/grafana/dashboards/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as Dashboard;
}

/** Panels that show something: headings of rows are panels to Grafana too. */
export function graphsOf({ panels }: Dashboard): Panel[] {
  return panels.filter(({ type }) => type !== 'row');
}
