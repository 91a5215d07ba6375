// TABLE.md of the block-GSM results.

function table(cells) {
  const columns = [...new Set(cells.map((cell) => cell.steps))];
  const labels = [...new Set(cells.map((cell) => cell.label))];
  const value = (label, steps) => cells.find((cell) => cell.label === label && cell.steps === steps)?.frechet;
  const best = columns.map((steps) => Math.min(...labels.map((label) => value(label, steps) ?? Infinity)));
  const text = (found, i) => {
    if (found === undefined) return '';
    const rounded = found < 0.1 ? found.toFixed(3) : found.toPrecision(3);
    return found === best[i] ? `**${rounded}**` : rounded;
  };
  const body = labels.map((label) => [label, ...columns.map((steps, i) => text(value(label, steps), i))]);
  const header = ['K', ...columns];
  return [header, header.map((_, i) => (i === 0 ? '---' : '--:')), ...body].map((row) => `| ${row.join(' | ')} |`);
}

const verdict = (holds) => (holds === null ? 'not computed' : holds ? 'holds' : '**does not hold**');

/**
 * @param {{ s2min: number, samples: number, seeds: number, floor: number, date: string, cells: object[] }} results
 * @param {{ text: string, holds: boolean | null }[]} orderings
 */
export function page({ s2min, samples, seeds, floor, date, cells }, orderings) {
  return `# Samplers on data with a known score

Written by \`node bench/block-gsm/run.mjs\`, ${date}. Frechet distance of ${samples} blocks, the mean of ${seeds} seeds, from
400,000 true ones; lower is better, the best of a column is bold. The smallest variance of a scale is ${s2min}; ${samples}
true blocks are ${floor} away.

${table(cells).join('\n')}

${orderings.map(({ text, holds }) => `- ${text}: ${verdict(holds)}`).join('\n')}
`;
}
