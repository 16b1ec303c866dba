// Writes dashboards/*.json from source/*.mjs. Run it after a change there, and commit both:
//
//     node deploy/grafana/dashboards.mjs
//     npx biome format --write deploy/grafana/dashboards
//
// With --print it writes nothing and prints all of them as one JSON object, by file name: how the tests compare the two.
import { writeFileSync } from 'node:fs';
import { delivery } from './source/delivery.mjs';
import { node } from './source/node.mjs';
import { overview } from './source/overview.mjs';

const dashboards = { overview, node, delivery };

if (process.argv.includes('--print')) {
  process.stdout.write(JSON.stringify(dashboards));
} else {
  for (const [name, dashboard] of Object.entries(dashboards)) {
    const file = new URL(`dashboards/${name}.json`, import.meta.url);
    writeFileSync(file, `${JSON.stringify(dashboard, null, 2)}\n`);
  }
}
