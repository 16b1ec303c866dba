import type { LineSeriesOption } from 'echarts';
import { decades, FAINT, INK, type Panel, type PlotShape, type Spot, titleAt } from './panel.ts';
import { PERCENTILES, type RowSummary } from './summary.ts';

const ABOVE = 64;
const BELOW = 28;
const LEFT = 60;
const RIGHT = 24;
/** Dashes that distinguish overlapping lines. */
const SYMBOLS = ['circle', 'rect', 'triangle', 'diamond', 'emptyCircle', 'emptyRect', 'emptyTriangle'];

/** How long deliveries took, by share of deliveries: a line for each row, in the colour of its bar. */
export function latencies({ summaries }: PlotShape, spot: Spot): Panel {
  const lines = summaries.map((summary) => PERCENTILES.map(({ figure }) => medianOf(summary, figure)));
  const values = lines.flat().filter((value) => value > 0);
  const starred = summaries.map(({ figures }) => figures.get('p50')?.isStarred === true);
  const dashes = starred.includes(true) ? '; dashed: the driver was the limit' : '';
  return {
    title: titleAt(spot, 'latency by percentile', `colours as on the left${dashes}`),
    grid: {
      left: spot.left + LEFT,
      width: spot.width - LEFT - RIGHT,
      top: spot.top + ABOVE,
      height: spot.height - ABOVE - BELOW,
    },
    xAxis: {
      type: 'category',
      data: PERCENTILES.map(({ label }) => label),
      boundaryGap: false,
      axisLine: { lineStyle: { color: INK } },
      axisLabel: { color: INK, interval: 0 },
    },
    yAxis: [
      {
        type: 'log',
        ...decades(values),
        splitLine: { lineStyle: { color: FAINT } },
        axisLabel: { color: INK, formatter: timeText },
      },
    ],
    series: summaries.map(({ row }, i) =>
      lineSeries(lines[i]!, spot.colours.get(row) ?? INK, SYMBOLS[i % SYMBOLS.length]!, starred[i]!),
    ),
  };
}

function medianOf({ figures }: RowSummary, figure: string): number {
  return figures.get(figure)?.median ?? NaN;
}

function lineSeries(
  values: readonly number[],
  color: string,
  symbol: string,
  isDashed: boolean,
): LineSeriesOption {
  return {
    type: 'line',
    silent: true,
    symbol,
    symbolSize: 7,
    itemStyle: { color },
    lineStyle: { color, width: 2, type: isDashed ? 'dashed' : 'solid' },
    data: values.map((value) => (value > 0 ? value : '-')),
  };
}

/** Of microseconds. */
function timeText(us: number): string {
  if (us >= 1e6) return `${us / 1e6} s`;
  return us >= 1e3 ? `${us / 1e3} ms` : `${us} us`;
}
