// Charts as SVG.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { lineChart, type Chart } from '../../../lib/cli/plot/chart.js';
import { scaleOf } from '../../../lib/cli/plot/scale.js';
import { escapeText } from '../../../lib/cli/plot/svg.js';
import { findAll, group, parseXml, texts } from '../../support/xml.js';

const chart: Chart = {
  title: 'Samples & <data>',
  x: { label: 'steps "K"', scale: 'log', ticks: [5, 10, 100] },
  y: { label: "distance d'", scale: 'linear' },
  series: [
    {
      label: 'a < b',
      points: [
        [5, 1],
        [10, 3],
        [100, 2],
      ],
      markers: true,
    },
    {
      label: 'floor',
      points: [
        [5, 0.5],
        [100, 0.5],
      ],
      dashed: true,
      reference: true,
    },
  ],
};

it.each(['linear', 'log'] as const)('a %s axis of chosen marks ends where its values end', (scale) => {
  const places = (ticks?: number[]): number[] => {
    const { place } = scaleOf('x', { label: 'x', scale, ...(ticks && { ticks }) }, [3, 7, 73], [0, 1]);
    return [place(3), place(73)];
  };
  expect(places([3, 73])).toEqual([expect.closeTo(0, 12), expect.closeTo(1, 12)]);
  const [low, high] = places();
  expect(low).toBeGreaterThan(0);
  expect(high).toBeLessThan(1);
});

describe('a line chart', () => {
  const source = lineChart(chart);
  const svg = parseXml(source);

  it('is one well-formed SVG with its labels, the same every time', () => {
    expect(svg.name).toBe('svg');
    expect(svg.attributes.xmlns).toBe('http://www.w3.org/2000/svg');
    expect(texts(svg)).toEqual(expect.arrayContaining([chart.title, chart.x.label, chart.y.label]));
    expect(source).toContain('Samples &amp; &lt;data&gt;');
    expect(lineChart(chart)).toBe(source);
  });

  it('has a line, markers and a name for every series', () => {
    const lines = group(svg, 'series');
    expect(lines).toHaveLength(2);
    // References lie below.
    const [reference, own] = lines.map(({ children }) => children);
    expect(own).toHaveLength(4);
    expect(reference).toHaveLength(1);
    expect(reference![0]!.attributes['stroke-dasharray']).toBe('5 5');
    expect(own![0]!.attributes['stroke-dasharray']).toBeUndefined();
    expect(own![0]!.attributes.d).toMatch(/^M84,[\d.]+L[\d.]+,[\d.]+L690,[\d.]+$/);
    expect(texts(group(svg, 'legend')[0]!).sort()).toEqual(['a < b', 'floor']);
  });

  it('marks the chosen values of an axis, and round ones of another', () => {
    expect(texts(group(svg, 'x-axis')[0]!)).toEqual(['5', '10', '100', chart.x.label]);
    expect(texts(group(svg, 'y-axis')[0]!)).toEqual(['0.5', '1', '1.5', '2', '2.5', '3', chart.y.label]);
  });

  it('labels decades, with exponents where they are long', () => {
    const points = [1e-7, 1e-3, 20].map((y, x): [number, number] => [x, y]);
    const wide = { ...chart, x: { label: 'n', scale: 'linear' as const }, y: { label: 'y', scale: 'log' as const } };
    const labels = texts(group(parseXml(lineChart({ ...wide, series: [{ label: 'a', points }] })), 'y-axis')[0]!);
    expect(labels).toEqual(['1e-7', '1e-6', '1e-5', '1e-4', '0.001', '0.01', '0.1', '1', '10', 'y']);
  });

  it('marks the tenths of up to four decades, and of more the powers alone', () => {
    const marks = (high: number): number[] =>
      scaleOf('y', { label: 'y', scale: 'log' }, [1, high], [0, 1]).ticks.map(({ value }) => value);
    const tenths = [1, 10, 100, 1000].flatMap((power) => [1, 2, 3, 4, 5, 6, 7, 8, 9].map((digit) => digit * power));
    expect(marks(1e4)).toEqual([...tenths, 1e4]);
    expect(marks(3e4)).toEqual([1, 10, 100, 1000, 1e4]);
  });

  it('has gaps where a value has no place, and shows points between gaps', () => {
    const points = [1, NaN, 2, -1, 4, 8].map((y, x): [number, number] => [x, y]);
    const log = parseXml(
      lineChart({
        ...chart,
        x: { label: 'x', scale: 'linear' },
        y: { label: 'y', scale: 'log' },
        series: [{ label: 'a', points }],
      }),
    );
    const [path, ...markers] = group(log, 'series')[0]!.children;
    expect(path!.attributes.d!.match(/M/g)).toHaveLength(3);
    expect(markers).toHaveLength(2);
    expect(source).not.toMatch(/NaN|Infinity|undefined/);
  });

  it('tells 15 series apart and keeps their names apart', () => {
    const series = Array.from({ length: 15 }, (_, i) => ({
      label: `row ${i}`,
      points: [
        [5, 1],
        [100, 1],
      ] as [number, number][],
      markers: true,
    }));
    const many = parseXml(lineChart({ ...chart, series }));
    const styles = group(many, 'series').map(({ children }) => {
      const [line, marker] = children;
      return [line!.attributes.stroke, line!.attributes['stroke-dasharray'], marker!.attributes.d].join();
    });
    expect(new Set(styles).size).toBe(15);
    // Neighbours differ in colour and in marker: lines that overlap show at least one of them.
    const looks = group(many, 'series').map(({ children }) => [
      children[0]!.attributes.stroke,
      children[1]!.attributes.d,
    ]);
    looks.slice(1).forEach(([color, marker], i) => {
      expect(color).not.toBe(looks[i]![0]);
      expect(marker).not.toBe(looks[i]![1]);
    });
    expect(new Set(looks.map((each) => each.join())).size).toBe(15);
    const heights = findAll(group(many, 'legend')[0]!, ({ name }) => name === 'text').map(({ attributes }) =>
      Number(attributes.y),
    );
    expect(new Set(heights).size).toBe(15);
    heights.slice(1).forEach((height, i) => {
      expect(height - heights[i]!).toBeGreaterThanOrEqual(19.99);
    });
    expect(Math.max(...heights)).toBeLessThan(490);
  });

  it('gives lines of one family one colour, and says what it means', () => {
    const points: [number, number][] = [
      [5, 1],
      [100, 2],
    ];
    const families = ['solver', 'solver', undefined, 'chain', 'solver'];
    const series = families.map((family, i) => ({
      label: `row ${i}`,
      points,
      markers: true,
      ...(family && { family }),
    }));
    const parsed = parseXml(lineChart({ ...chart, series }));
    const lines = group(parsed, 'series').map(({ children }) => children);
    const colors = lines.map(([line]) => line!.attributes.stroke);
    expect(colors[1]).toBe(colors[0]);
    expect(colors[4]).toBe(colors[0]);
    expect(new Set(colors).size).toBe(3);
    const looks = lines.map(([line, marker]) => `${line!.attributes['stroke-dasharray']} ${marker!.attributes.d}`);
    expect(new Set([looks[0], looks[1], looks[4]]).size).toBe(3);
    const [key] = findAll(parsed, ({ attributes }) => attributes.class === 'families');
    expect(key!.children.map(({ text, attributes }) => [text, attributes.fill])).toEqual([
      ['solver', colors[0]],
      ['chain', colors[3]],
    ]);
    expect(findAll(svg, ({ attributes }) => attributes.class === 'families')).toEqual([]);
  });

  it('leads from the end of each line to its name, which has its colour', () => {
    const [leader, sample, , name] = group(svg, 'legend')[0]!.children;
    const ends = group(svg, 'series')[1]!.children[0]!.attributes.d!.split('L');
    expect(leader!.attributes.d!.startsWith(`M${ends.at(-1)!.replace(',', ' ')}L`)).toBe(true);
    expect(name!.text).toBe('a < b');
    expect(name!.attributes.fill).toBe(sample!.attributes.stroke);
  });

  it('shades the ground between two lines, where both have points', () => {
    const points = (values: number[]): [number, number][] => values.map((y, x) => [x, y]);
    const series = [
      { label: 'low', points: points([1, 1, 1, NaN]) },
      { label: 'high', points: points([2, 3, 3, 3]) },
    ];
    const axes = { x: { label: 'x', scale: 'linear' as const }, y: { label: 'y', scale: 'linear' as const } };
    const areas = (between?: [string, string]): string[] =>
      findAll(parseXml(lineChart({ title: '', ...axes, series, ...(between && { between }) })), ({ attributes }) =>
        Object.hasOwn(attributes, 'fill-opacity'),
      ).map(({ attributes }) => attributes.d!);
    expect(areas()).toEqual([]);
    expect(areas(['low', 'nothing'])).toEqual([]);
    const [shape] = areas(['low', 'high']);
    // Along the lower line and back along the upper one: three points each.
    expect(shape!.match(/[ML]/g)).toHaveLength(6);
  });

  it('has colours for a dark ground, of every class that it uses', () => {
    const series = Array.from({ length: 9 }, (_, i) => ({ label: `row ${i}`, points: chart.series[0]!.points }));
    const many = parseXml(lineChart({ ...chart, series: [...series, chart.series[1]!] }));
    const [style] = findAll(many, ({ name }) => name === 'style');
    const classes = findAll(many, ({ attributes }) => attributes.class !== undefined)
      .flatMap(({ attributes }) => attributes.class!.split(' '))
      .filter((name) => !['series', 'legend', 'x-axis', 'y-axis', 'families'].includes(name));
    expect(new Set(classes).size).toBeGreaterThan(15);
    for (const name of classes) expect(style!.text).toContain(`.${name}{`);
    expect(style!.text).toMatch(/^@media \(prefers-color-scheme:dark\)\{/);
  });

  it('is refused when there is nothing to show', () => {
    const series = [{ label: 'a', points: [[NaN, 1]] as [number, number][] }];
    expect(() => lineChart({ ...chart, x: { label: 'K', scale: 'log' }, series })).toThrow(
      /positive numbers on its x axis \(K\)/,
    );
  });

  it('escapes every text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const parsed = parseXml(`<text a="${escapeText(text)}">${escapeText(text)}</text>`);
        expect(parsed.attributes.a).toBe(parsed.text);
        expect(parsed.text).toHaveLength(text.length);
      }),
    );
    expect(escapeText('a\u0000\ud800')).toBe('a\ufffd\ufffd');
  });

  it('is well-formed whatever it shows', () => {
    const value = fc.double();
    const axis = fc.record({ label: fc.string(), scale: fc.constantFrom('linear' as const, 'log' as const) });
    const series = fc.array(fc.record({ label: fc.string(), points: fc.array(fc.tuple(value, value)) }), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(fc.record({ title: fc.string(), x: axis, y: axis, series }), (any) => {
        let source = '';
        try {
          source = lineChart(any);
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
          return;
        }
        expect(source).not.toMatch(/="[^"]*(NaN|Infinity)/);
        expect(group(parseXml(source), 'series')).toHaveLength(any.series.length);
      }),
    );
  });

  it.each([5e-324, 1e-323, 1e99, -1e99])('shows %d', (y) => {
    const axis = { label: '', scale: 'linear' as const };
    const source = lineChart({ title: '', x: axis, y: axis, series: [{ label: '', points: [[0, y]] }] });
    expect(source).not.toMatch(/="[^"]*(NaN|Infinity)/);
    expect(group(parseXml(source), 'series')).toHaveLength(1);
  });
});
