import type {
  BarSeriesOption,
  ScatterSeriesOption,
  XAXisComponentOption,
  YAXisComponentOption,
} from 'echarts';
import { decades, FAINT, INK, type Panel, type PlotShape, type Spot, textWidth, titleAt } from './panel.ts';
import type { RowSummary, ShapeView } from './summary.ts';
import { ratioText, shown } from './table.ts';

/** If rows differ by more, bars that start at 0 would hide all but the longest. */
const MAX_LINEAR_RATIO = 20;
const SHORT = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
const ABOVE = 64;
const BELOW = 28;

/** The headline of each row as a bar, its value and ratio as text at the right, each trial as a dot. */
export function bars({ view, summaries }: PlotShape, spot: Spot): Panel {
  const names = summaries.map(({ row }) => row);
  const words = summaries.map((summary) => inWords(summary, view));
  const left = Math.max(...names.map(textWidth)) + 20;
  const right = Math.max(...words.map(textWidth)) + 20;
  const medians = summaries.map(({ headline }) => headline.median);
  const values = summaries.flatMap(({ headline }) => headline.values);
  const isLog = Math.min(...values) > 0 && spread(medians) > MAX_LINEAR_RATIO;
  const about = `${view.headline.head}, x ${view.control}${isLog ? ', logarithmic' : ''}; a dot is a trial`;
  return {
    title: titleAt(spot, `${view.name}: ${about}`, view.what),
    grid: {
      left: spot.left + left,
      width: spot.width - left - right,
      top: spot.top + ABOVE,
      height: spot.height - ABOVE - BELOW,
    },
    xAxis: valueAxis(values, isLog),
    yAxis: [rowAxis(names, 'left'), rowAxis(words, 'right')],
    series: [
      barSeries(names, medians, spot),
      dotSeries(summaries.flatMap(({ headline }, i) => headline.values.map((value) => [value, i]))),
    ],
  };
}

function inWords({ headline, ratio }: RowSummary, view: ShapeView): string {
  const value = shown(headline, view.headline);
  return Number.isFinite(ratio) ? `${value}   ${ratioText(ratio)} x` : value;
}

function spread(medians: readonly number[]): number {
  const known = medians.filter(Number.isFinite);
  return Math.max(...known) / Math.min(...known);
}

function valueAxis(values: readonly number[], isLog: boolean): XAXisComponentOption {
  const look = {
    splitLine: { lineStyle: { color: FAINT } },
    axisLabel: { color: INK, hideOverlap: true, formatter: short },
  };
  if (!isLog) return { type: 'value', min: 0, splitNumber: 4, ...look };
  const { min, max } = decades(values);
  // Otherwise a bar would start at 1.
  return { type: 'log', min, max, startValue: min, ...look };
}

/** 2,000,000 needs the space of three labels. */
function short(value: number): string {
  return SHORT.format(value);
}

function rowAxis(data: string[], position: 'left' | 'right'): YAXisComponentOption {
  const line = { show: position === 'left', lineStyle: { color: INK } };
  const label = { color: INK, fontSize: 12, interval: 0 };
  return {
    type: 'category',
    data,
    position,
    inverse: true,
    axisLine: line,
    axisTick: { show: false },
    axisLabel: label,
  };
}

function barSeries(names: readonly string[], medians: readonly number[], { colours }: Spot): BarSeriesOption {
  const data = names.map((row, i) => ({
    value: Number.isFinite(medians[i]) ? medians[i]! : '-',
    itemStyle: { color: colours.get(row) ?? INK },
  }));
  return { type: 'bar', silent: true, barMaxWidth: 14, data };
}

function dotSeries(data: number[][]): ScatterSeriesOption {
  const itemStyle = { color: '#ffffff', borderColor: INK, borderWidth: 1, opacity: 0.85 };
  return { type: 'scatter', silent: true, symbolSize: 5, itemStyle, data, z: 3 };
}
