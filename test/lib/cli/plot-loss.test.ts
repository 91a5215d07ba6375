// Charts of the losses of runs.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { lossChart } from '../../../lib/cli/plot/loss.js';
import { dpm } from '../../support/dpm.js';
import { temporaryFolder } from '../../support/temporary.js';
import { group, parseXml, texts } from '../../support/xml.js';

const folder = temporaryFolder();

function run(name: string, losses: readonly (number | null)[]): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  const lines = losses.map((loss, i) => `${JSON.stringify({ step: i + 1, loss })}\n`);
  writeFileSync(join(path, 'metrics.jsonl'), lines.join(''));
  return path;
}

const falling = (count: number): number[] => Array.from({ length: count }, (_, i) => 1 / (1 + i));

describe('dpm plot loss', () => {
  it('has a line for every run', async () => {
    const runs = [run('a', falling(300)), run('b', [...falling(20), null]), join(run('c', [1, 2]), 'metrics.jsonl')];
    const out = join(folder, 'loss.svg');
    expect(await dpm('plot', 'loss', ...runs, '--out', out)).toEqual({ code: 0, stdout: `${out}\n`, stderr: '' });
    const svg = parseXml(readFileSync(out, 'utf8'));
    expect(group(svg, 'series')).toHaveLength(3);
    expect(texts(group(svg, 'legend')[0]!).sort()).toEqual(['a', 'b', 'c']);
    expect(texts(svg)).toContain('Training loss, means of 2 steps');
    const json = await dpm('plot', 'loss', runs[1]!, '--window', '1', '--out', out, '--json');
    expect(JSON.parse(json.stdout)).toEqual({ out });
    expect(texts(parseXml(readFileSync(out, 'utf8')))).toContain('Training loss');
  });

  it('tells runs of one name apart by their paths', async () => {
    const runs = [run('x/a', [1]), run('y/a', [2])];
    const out = join(folder, 'same.svg');
    expect((await dpm('plot', 'loss', ...runs, '--out', out)).code).toBe(0);
    expect(texts(group(parseXml(readFileSync(out, 'utf8')), 'legend')[0]!).sort()).toEqual(runs);
  });

  it('shows means over a window', () => {
    const losses = falling(10).map((loss, i) => ({ step: i + 1, loss }));
    const [series] = lossChart([{ label: 'a', losses }], 5).series;
    expect(series!.points.map(([step]) => step)).toEqual([5, 10]);
    expect(series!.points[0]![1]).toBeCloseTo((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5, 15);
    const long = falling(1001).map((loss, i) => ({ step: i + 1, loss }));
    expect(lossChart([{ label: 'a', losses: long }]).series[0]!.points).toHaveLength(Math.ceil(1001 / 6));
  });

  it.each<[string[], number, RegExp]>([
    [['loss', '--out', 'x.svg'], 2, /takes RUN/],
    [['loss', 'none', '--out', 'x.svg'], 1, /\[ERR_DPM_FILE\].*none/],
    [['loss', 'none', '--out', 'x.svg', '--window', '0'], 2, /--window is 0/],
  ])('%j is refused', async (args, code, message) => {
    const outcome = await dpm('plot', ...args);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.code).toBe(code);
  });

  it('refuses a run without a loss', async () => {
    const outcome = await dpm('plot', 'loss', run('nothing', []), '--out', join(folder, 'nothing.svg'));
    expect(outcome).toMatchObject({ code: 2 });
    expect(outcome.stderr).toMatch(/ERR_DPM_ARGUMENT/);
  });
});
