// The parts that dashboards are made of, in Grafana's JSON. Queries omit the filter on `job` and
// `instance`: it is added to every selector here, so that no panel can forget it.

const DATASOURCE = { type: 'prometheus', uid: 'prometheus' };
const FILTER = 'job=~"$job", instance=~"$instance"';
const COLUMNS = 24;

/** Adds the filter to every selector of a query: `roomcast_rooms{}` and `roomcast_rooms` alike. */
function filtered(expr) {
  return expr.replace(
    /\b(up|(?:roomcast|process|nodejs)_\w+)\b(?:\{([^}]*)\})?/g,
    (_, metric, labels) => `${metric}{${labels ? `${labels}, ` : ''}${FILTER}}`,
  );
}

/** `rate` of a counter, summed over labels not in `by`. */
export function rate(counter, ...by) {
  return `${sum(by)} (rate(${counter}[$__rate_interval]))`;
}

/** How much a counter rose, summed over labels not in `by`. For rare events. */
export function increase(counter, ...by) {
  return `${sum(by)} (increase(${counter}[$__rate_interval]))`;
}

/** A quantile of a histogram, over everything or for each value of the labels in `by`. */
export function quantile(q, histogram, ...by) {
  const buckets = histogram.replace(/^\w+/, (name) => `${name}_bucket`);
  return `histogram_quantile(${q}, ${rate(buckets, 'le', ...by)})`;
}

/** Queries for the median, the 90th, 99th and 99.9th percentile of a histogram. */
export function quantiles(histogram) {
  return [0.5, 0.9, 0.99, 0.999].map((q) => [quantile(q, histogram), `p${q * 100}`]);
}

function sum(by) {
  return by.length === 0 ? 'sum' : `sum by (${by.join(', ')})`;
}

/**
 * Lines over time. `queries` are pairs of a query and a legend, such as `['up', '{{instance}}']`. Optional:
 * `stack`, `bars`, `max` of the axis, `none`: the text shown without data.
 */
export function graph({ title, description, unit, queries, stack = false, bars = false, max, none }) {
  return {
    type: 'timeseries',
    title,
    description,
    datasource: DATASOURCE,
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        ...(max === undefined ? {} : { max }),
        ...(none === undefined ? {} : { noValue: none }),
        custom: {
          drawStyle: bars ? 'bars' : 'line',
          fillOpacity: bars ? 60 : stack ? 20 : 0,
          showPoints: 'never',
          stacking: { mode: stack || bars ? 'normal' : 'none' },
        },
      },
      overrides: [],
    },
    options: {
      legend: { displayMode: 'table', placement: 'bottom', calcs: ['lastNotNull', 'max'] },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
    targets: targets(queries),
  };
}

/** One number, with a sparkline. `steps`: thresholds as pairs of a value and a colour. */
export function number({ title, description, unit, queries, steps = [] }) {
  return {
    type: 'stat',
    title,
    description,
    datasource: DATASOURCE,
    fieldConfig: {
      defaults: {
        unit,
        color: { mode: 'thresholds' },
        thresholds: {
          mode: 'absolute',
          steps: [{ value: null, color: 'green' }, ...steps.map(([value, color]) => ({ value, color }))],
        },
      },
      overrides: [],
    },
    options: { graphMode: 'area', colorMode: 'value', reduceOptions: { calcs: ['lastNotNull'] } },
    targets: targets(queries),
  };
}

/** A band for each series, green while it is 1 and red while it is 0. `words`: the names of the two states. */
export function states({ title, description, queries, words: [yes, no] }) {
  return {
    type: 'state-timeline',
    title,
    description,
    datasource: DATASOURCE,
    fieldConfig: {
      defaults: {
        unit: 'bool',
        mappings: [
          {
            type: 'value',
            options: { 0: { text: no, color: 'red', index: 0 }, 1: { text: yes, color: 'green', index: 1 } },
          },
        ],
      },
      overrides: [],
    },
    options: { mergeValues: true, showValue: 'never', rowHeight: 0.8, legend: { showLegend: false } },
    targets: targets(queries),
  };
}

function targets(queries) {
  return queries.map(([expr, legend], at) => ({
    refId: String.fromCharCode(65 + at),
    datasource: DATASOURCE,
    expr: filtered(expr),
    legendFormat: legend,
    range: true,
  }));
}

/** A whole dashboard. `sections` are pairs of a heading and its panels, which fill rows from left to right. */
export function dashboard({ uid, title, description, sections }) {
  return {
    uid,
    title,
    description,
    tags: ['roomcast'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    refresh: '10s',
    time: { from: 'now-30m', to: 'now' },
    timezone: 'browser',
    links: [
      {
        type: 'dashboards',
        title: 'Roomcast',
        tags: ['roomcast'],
        asDropdown: false,
        includeVars: true,
        keepTime: true,
        targetBlank: false,
      },
    ],
    templating: { list: [variable('job', ''), variable('instance', '{job=~"$job"}')] },
    annotations: { list: [drains()] },
    panels: laidOut(sections),
  };
}

function variable(label, within) {
  const query = `label_values(roomcast_build_info${within}, ${label})`;
  return {
    name: label,
    label: label === 'job' ? 'Job' : 'Node',
    type: 'query',
    datasource: DATASOURCE,
    definition: query,
    query: { query, refId: label },
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { selected: true, text: ['All'], value: ['$__all'] },
  };
}

function drains() {
  return {
    name: 'Draining',
    datasource: DATASOURCE,
    enable: true,
    iconColor: 'orange',
    expr: filtered('roomcast_draining == 1'),
    titleFormat: '{{instance}} is shutting down',
  };
}

/** Numbers are small and six to a row, graphs three to a row. */
function laidOut(sections) {
  const panels = [];
  let y = 0;
  const add = (panel, x, w, h) => panels.push({ id: panels.length + 1, gridPos: { x, y, w, h }, ...panel });
  for (const [heading, members] of sections) {
    add({ type: 'row', title: heading, collapsed: false, panels: [] }, 0, COLUMNS, 1);
    y += 1;
    let x = 0;
    let height = 0;
    for (const panel of members) {
      const [w, h] = panel.type === 'stat' ? [4, 4] : [8, 8];
      if (x + w > COLUMNS) {
        x = 0;
        y += height;
        height = 0;
      }
      add(panel, x, w, h);
      x += w;
      height = Math.max(height, h);
    }
    y += height;
  }
  return panels;
}
