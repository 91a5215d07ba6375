// Writes TABLE.md and the plot from the cells that table.mjs has kept.
//
//   node bench/quality/report.mjs --help
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { readJson, writeFormatted } from './files.mjs';
import { command, defaults, parseOptions } from './options.mjs';

const usage = `node bench/quality/report.mjs [--results FILE]

Writes TABLE.md, and quality.svg where \`dpm plot\` is built, beside FILE; default bench/quality/results.json`;

const dpm = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const plotCommand = fileURLToPath(new URL('../../dist/cli/plot.js', import.meta.url));

/** The text of a cell; the best of a column is bold. */
function cellText(cell, best) {
  if (cell === undefined) return '';
  const text = cell.frechet.toPrecision(3);
  const rounded = cell.frechet >= 1000 ? cell.frechet.toFixed(0) : text;
  return cell.frechet === best ? `**${rounded}**` : rounded;
}

function tableOf(cells) {
  const columns = [...new Set(cells.map((cell) => cell.steps))].sort((a, b) => a - b);
  const best = new Map(
    columns.map((steps) => [
      steps,
      Math.min(...cells.filter((cell) => cell.steps === steps).map((cell) => cell.frechet)),
    ]),
  );
  const rowOf = (id) => {
    const own = cells.filter((cell) => cell.row === id);
    return [
      own[0].label,
      ...columns.map((steps) =>
        cellText(
          own.find((cell) => cell.steps === steps),
          best.get(steps),
        ),
      ),
    ];
  };
  const body = [...new Set(cells.map((cell) => cell.row))].map(rowOf);
  const header = ['K', ...columns];
  return [header, header.map((_, i) => (i === 0 ? '---' : '--:')), ...body]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');
}

/** Names the solvers of higher order that use fewer evaluations than K, or more. */
function evaluationsNote(cells) {
  const other = cells.filter(({ evaluations, steps }) => evaluations !== steps);
  if (other.length === 0) return 'Every cell makes K network evaluations a sample.';
  const rows = [...new Set(other.map((cell) => cell.label))].map((label) => {
    const own = other.filter((cell) => cell.label === label);
    return `${label} ${own.map(({ steps, evaluations }) => `${evaluations ?? '?'} at K = ${steps}`).join(', ')}`;
  });
  return `Every cell makes K network evaluations a sample, except: ${rows.join('; ')}.`;
}

function page({ cells, plotted, samples, seed, features, reference, floor, floors, floorCount, model, machine, date }) {
  const seconds = cells.reduce((sum, cell) => sum + cell.seconds, 0);
  const spread = `${Math.min(...floors)} and ${Math.max(...floors)}`;
  return `# Quality of samples: digits

Written by \`node bench/quality/report.mjs\`. Frechet distance of ${samples} samples of the model \`${model}\` (seed ${seed}) from
${reference}, on the features of \`${features}\`; lower is better, the best of a column is bold. The floor, ${floorCount}
training digits, is ${floor}.

${tableOf(cells)}
${plotted ? '\n![Frechet distance by number of steps](quality.svg)\n' : ''}
${evaluationsNote(cells)}

## What digits show

- The variance beta is far too large at few steps, and deterministic samplers are good at few steps.
- They do not show the advantage of the analytic variances over beta-tilde that natural images show:
  [block-gsm](../block-gsm/README.md) is a problem that does.
- DDIM clips the data prediction, as diffusers does, but not the noise prediction: over many steps that adds up, so that its rows get
  worse again. Without the clip it goes where the probability flow goes, and is worse at few steps.
- Differences between close rows say nothing. It is one seed, whose samples all rows start from, and the distance is sensitive
  to a few odd images: ${floors.length} sets of ${floorCount} training digits lie between ${spread}.
- These are not FIDs: never compare them with published ones. The features are another network's, and the images are digits.

Drawing took ${Math.round(seconds / 60)} minutes on ${machine}; ${date}.
`;
}

/** Draws the plot by `dpm plot quality`, and tells whether there is one. */
function plot(results, out) {
  if (!existsSync(plotCommand)) {
    console.log('no plot: this build has no `dpm plot`');
    return false;
  }
  const { status } = spawnSync(process.execPath, [dpm, 'plot', 'quality', results, '--out', out], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`dpm plot quality ended with status ${status}`);
  return true;
}

await command(async () => {
  const options = parseOptions(usage, { results: { type: 'string', default: defaults.results } });
  const results = await readJson(options.results, 'bench/quality/table.mjs writes it');
  if (results.cells.length === 0) throw new Error(`${options.results} holds no cells yet`);
  const folder = dirname(options.results);
  const plotted = plot(options.results, join(folder, 'quality.svg'));
  await writeFormatted(join(folder, 'TABLE.md'), page({ ...results, plotted }));
  console.log(`${results.cells.length} cells -> ${relative('.', join(folder, 'TABLE.md'))}`);
});
