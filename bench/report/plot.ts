/** Draws a scenario: what each row cost in each shape, and how long deliveries took. */
import * as echarts from 'echarts';
import { bars } from './bars.ts';
import { latencies } from './latencies.ts';
import { coloursOf, hasLatencies, type Panel, type PlotShape, type Spot } from './panel.ts';

const WIDTH = 1000;
const GAP = 20;
const FONT = 'Helvetica, Arial, sans-serif';

/** A panel is as tall as its rows need, and tall enough to tell curves apart. */
const CURVES_HEIGHT = 250;
const ROW_HEIGHT = 26;
const ABOVE_AND_BELOW = 96;
/** Share of the width for bars, if there are curves beside them. */
const BARS_SHARE = 0.6;

/**
 * An SVG with a line of panels for each shape; '' if no row has a headline. The same shapes give the same
 * bytes. Rows keep their colour throughout.
 */
export function plot(shapes: readonly PlotShape[]): string {
  const drawn = shapes.filter(({ summaries }) =>
    summaries.some(({ headline }) => Number.isFinite(headline.median)),
  );
  if (drawn.length === 0) return '';
  const colours = coloursOf(shapes.map(({ view }) => view));
  const left = drawn.some(hasLatencies) ? Math.round(WIDTH * BARS_SHARE) : WIDTH;
  const panels: Panel[] = [];
  let top = 0;
  for (const shape of drawn) {
    const height = heightOf(shape);
    const spot: Spot = { left: 0, top, width: left, height, colours };
    panels.push(bars(shape, spot));
    if (hasLatencies(shape))
      panels.push(latencies(shape, { ...spot, left: left + GAP, width: WIDTH - left - GAP }));
    top += height + GAP;
  }
  return render(top, optionOf(panels));
}

function heightOf(shape: PlotShape): number {
  const forBars = ABOVE_AND_BELOW + ROW_HEIGHT * shape.summaries.length;
  return hasLatencies(shape) ? Math.max(CURVES_HEIGHT, forBars) : forBars;
}

function optionOf(panels: readonly Panel[]): echarts.EChartsOption {
  const yAxesBefore = (index: number): number =>
    panels.slice(0, index).reduce((sum, { yAxis }) => sum + yAxis.length, 0);
  return {
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: FONT },
    title: panels.map(({ title }) => title),
    grid: panels.map(({ grid }) => grid),
    xAxis: panels.map(({ xAxis }, gridIndex) => ({ ...xAxis, gridIndex })),
    yAxis: panels.flatMap(({ yAxis }, gridIndex) => yAxis.map((axis) => ({ ...axis, gridIndex }))),
    series: panels.flatMap(({ series }, i) =>
      series.map((one) => ({ ...one, xAxisIndex: i, yAxisIndex: yAxesBefore(i) })),
    ) as echarts.SeriesOption[],
  };
}

function render(height: number, option: echarts.EChartsOption): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  try {
    chart.setOption(option);
    return `${withoutCounters(chart.renderToSVGString())}\n`;
  } finally {
    chart.dispose();
  }
}

/**
 * Names that the renderer generates count the charts of the process. Classes and data indices serve only the
 * pointer; ids of clip paths are needed, but not their number.
 */
function withoutCounters(svg: string): string {
  return svg
    .replace(/<style\b.*?<\/style>\s*/s, '')
    .replace(/ class="zr[^"]*"/g, '')
    .replace(/ ecmeta_\w+="[^"]*"/g, '')
    .replace(/(?<=id="|url\(#)zr\d+-/g, '');
}
