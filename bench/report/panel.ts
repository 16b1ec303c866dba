/** Shared by the panels of a picture. */
import type {
  GridComponentOption,
  SeriesOption,
  TitleComponentOption,
  XAXisComponentOption,
  YAXisComponentOption,
} from 'echarts';
import { PERCENTILES, type RowSummary, type ShapeView } from './summary.ts';

export interface PlotShape {
  readonly view: ShapeView;
  readonly summaries: readonly RowSummary[];
}

/** Where a panel goes, in pixels, and the colours of its rows. */
export interface Spot {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly colours: Colours;
}

/** By row. */
export type Colours = ReadonlyMap<string, string>;

/** What a panel adds to the picture. Axes and series count from the panel's own first one. */
export interface Panel {
  readonly title: TitleComponentOption;
  readonly grid: GridComponentOption;
  readonly xAxis: XAXisComponentOption;
  readonly yAxis: readonly YAXisComponentOption[];
  readonly series: readonly SeriesOption[];
}

export const INK = '#24292f';
export const FAINT = '#d0d7de';
const CONTROL_COLOUR = '#8c959f';
/** Colours that colour-blind readers can distinguish (Okabe and Ito; then darker ones of the same). */
const PALETTE = [
  '#0072b2',
  '#d55e00',
  '#009e73',
  '#cc79a7',
  '#e69f00',
  '#56b4e9',
  '#8250df',
  '#7d4e00',
  '#004d80',
  '#a40e26',
  '#1a7f37',
];

/** Control rows are grey; each other row has its colour, the same in all shapes. */
export function coloursOf(views: readonly ShapeView[]): Colours {
  const controls = new Set(views.map(({ control }) => control));
  const others = [...new Set(views.flatMap(({ rows }) => rows))].filter((row) => !controls.has(row));
  const named = others.map((row, i) => [row, PALETTE[i % PALETTE.length]!] as const);
  return new Map([...[...controls].map((row) => [row, CONTROL_COLOUR] as const), ...named]);
}

export function hasLatencies({ summaries }: PlotShape): boolean {
  return summaries.some(({ figures }) => PERCENTILES.filter(({ figure }) => figures.has(figure)).length > 1);
}

/** Widths are estimated, generously: there are no fonts to measure here. */
const PIXELS_A_CHARACTER = 7;

export function textWidth(text: string): number {
  return text.length * PIXELS_A_CHARACTER;
}

export function titleAt(spot: Spot, text: string, subtext: string): TitleComponentOption {
  return {
    text,
    subtext: wrapped(subtext, Math.floor((spot.width - 16) / PIXELS_A_CHARACTER)),
    left: spot.left + 8,
    top: spot.top + 8,
    padding: 0,
    itemGap: 4,
    textAlign: 'left',
    textStyle: { color: INK, fontSize: 14, fontWeight: 'bold' },
    subtextStyle: { color: INK, fontSize: 12, lineHeight: 15 },
  };
}

function wrapped(text: string, characters: number): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (longer.length <= characters) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.join('\n');
}

/** From the power of ten below the lowest to the one above the highest. All are above 0. */
export function decades(values: readonly number[]): { min: number; max: number } {
  const min = 10 ** Math.floor(Math.log10(Math.min(...values)));
  return { min, max: Math.max(min * 10, 10 ** Math.ceil(Math.log10(Math.max(...values)))) };
}
