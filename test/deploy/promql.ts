/** As much of PromQL as it takes to find the metrics and labels that a query refers to. */

export interface Selector {
  readonly metric: string;
  /** Labels that it is filtered by. */
  readonly labels: readonly string[];
}

export interface Query {
  readonly selectors: readonly Selector[];
  /** Labels that results are grouped by or matched on. */
  readonly grouping: readonly string[];
}

const WORDS = new Set(['and', 'or', 'unless', 'offset', 'bool', 'by', 'without', 'on', 'ignoring']);
const GROUPING = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
const SELECTOR = /(?<![\w.])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(\s*\()?/g;

export function parseQuery(promql: string): Query {
  const bare = promql.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""').replaceAll(/\[[^\]]*\]/g, '');
  const grouping = [...bare.matchAll(GROUPING)].flatMap(([, list]) => namesIn(list!));
  const rest = bare.replaceAll(GROUPING, ' ').replaceAll(/\boffset\s+\w+/g, ' ');
  const selectors: Selector[] = [];
  for (const [, name, labels = '', call] of rest.matchAll(SELECTOR)) {
    // A name before a parenthesis is a function; a number such as `1e3` begins with none of these letters.
    if (call !== undefined || WORDS.has(name!) || /^(inf|nan)$/i.test(name!)) continue;
    selectors.push({
      metric: name!,
      labels: namesIn(labels.replaceAll(/(=~|!~|!=|=)\s*""/g, '').slice(1, -1)),
    });
  }
  return { selectors, grouping };
}

function namesIn(list: string): string[] {
  return list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}
