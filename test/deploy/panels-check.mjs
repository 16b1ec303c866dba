// Runs the query of every panel of every dashboard against a Prometheus, and says which return data. For example, against
// the one of the Compose file while its load runs:
//
//     node test/deploy/panels-check.mjs --prometheus http://localhost:9090
//
// Panels about a Redis Cluster have data only where a node is on one.
// --window <seconds>: how far back to look, and over how long rates are taken; at least four scrapes. Default 60.
// Exits with 1 when a query fails or returns nothing. test/deploy/panels.test.ts runs it against nodes under load.
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const FOLDER = new URL('../../deploy/grafana/dashboards/', import.meta.url);

const { values } = parseArgs({
  options: {
    prometheus: { type: 'string', default: 'http://localhost:9090' },
    window: { type: 'string', default: '60' },
  },
});
const window = Number(values.window);

/** As Grafana would ask with everything chosen. */
function withVariables(expr) {
  return expr.replaceAll('$__rate_interval', `${window}s`).replaceAll(/\$(job|instance)\b/g, '.*');
}

/** How many series, and how many of their points are numbers: a quantile of nothing is NaN. */
async function ask(expr) {
  const end = Date.now() / 1000;
  const query = new URLSearchParams({
    query: withVariables(expr),
    start: String(end - window),
    end: String(end),
    step: String(Math.max(1, window / 30)),
  });
  const response = await fetch(new URL(`/api/v1/query_range?${query}`, values.prometheus));
  const { status, error, data } = await response.json();
  if (status !== 'success') throw new Error(error);
  const points = data.result.flatMap((series) =>
    series.values.filter(([, value]) => Number.isFinite(Number(value))),
  );
  return { series: data.result.length, points: points.length };
}

async function check(dashboard, panel, target) {
  const name = `${dashboard.title} / ${panel.title} (${target.refId})`;
  try {
    const { series, points } = await ask(target.expr);
    console.log(`${points > 0 ? 'data  ' : 'EMPTY '} ${name}: ${series} series, ${points} points`);
    return points > 0;
  } catch (error) {
    console.log(`FAILED ${name}: ${error.message}\n       ${target.expr}`);
    return false;
  }
}

let queries = 0;
let empty = 0;
for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.json'))) {
  const dashboard = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8'));
  for (const panel of dashboard.panels) {
    for (const target of panel.targets ?? []) {
      queries++;
      if (!(await check(dashboard, panel, target))) empty++;
    }
  }
}
console.log(`${queries} queries, ${empty} without data`);
process.exitCode = queries > 0 && empty === 0 ? 0 : 1;
