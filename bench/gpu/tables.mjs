// The rows of each stage as tables of Markdown.
export const table = (header, rows) =>
  [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

export const cell = (value) =>
  String(value ?? '')
    .replaceAll('|', '/')
    .replaceAll('\n', ' ');

/** Three digits, and never more zeros than needed. */
const digits = (value) => (value === null || value === undefined ? '' : String(Number(value.toPrecision(3))));

/** What the card did meanwhile, in one cell. */
function clocksCell({ clocks }) {
  if (clocks === undefined) return '';
  const { processorMegahertz: processor, watts, celsius, heldBackBy = [] } = clocks;
  const parts = [
    processor == null ? '' : `${[...new Set(processor)].join(' to ')} MHz`,
    watts == null ? '' : `${Math.round(watts)} W`,
    celsius == null ? '' : `${celsius} °C`,
    ...heldBackBy,
  ];
  return cell(parts.filter((part) => part !== '').join(', '));
}

const captureCell = ({ captures, captureFailures }) =>
  captures === undefined ? '' : `${captures}${captureFailures ? `, ${captureFailures} failed` : ''}`;

const listOf = (rows) => (rows.length > 0 ? [rows.map((row) => `- ${cell(row)}`).join('\n')] : []);

function evaluation(rows) {
  const base = rows.find(({ milliseconds }) => milliseconds !== undefined)?.arm;
  const ratio = (row) => {
    const same = rows.find(({ network, batch, arm }) => network === row.network && batch === row.batch && arm === base);
    return same?.milliseconds === undefined ? '' : (row.milliseconds / same.milliseconds).toFixed(2);
  };
  const timed = rows.filter(({ milliseconds }) => milliseconds !== undefined);
  const cells = timed.map((row) => [
    row.network,
    row.batch,
    row.arm,
    digits(row.milliseconds),
    digits(row.fastest),
    ratio(row),
    row.preparedIn,
    captureCell(row),
    clocksCell(row),
  ]);
  const missing = rows
    .filter(({ error }) => error !== undefined)
    .map((row) => `${[row.network, row.batch, row.arm].filter(Boolean).join(', ')}: ${row.error}`);
  const times = ['ms/evaluation', 'fastest round', `over ${base}`, 'ready after, s'];
  const header = ['network', 'batch', 'engine', ...times, 'graphs', 'card'];
  return [table(header, cells), ...listOf(missing)].join('\n\n');
}

function groups(rows, keyOf) {
  const byKey = new Map();
  for (const row of rows) {
    const key = keyOf(row);
    if (!byKey.has(key)) byKey.set(key, []);
    byKey.get(key).push(row);
  }
  return [...byKey.values()];
}

const microsecondsOf = (row) => row.microseconds ?? Infinity;
const fastest = (rows) =>
  rows.reduce((best, row) => (microsecondsOf(row) < microsecondsOf(best) ? row : best), rows[0]);

/** The fastest candidate of every kind; all of them are in the JSON. */
function products(rows) {
  const kinds = ['joined', 'joined fallback', 'bare'];
  const cells = groups(rows, ({ problem, batch }) => JSON.stringify([problem, batch])).map((own) => {
    const ofKind = kinds.map((kind) => own.filter((row) => row.kind === kind));
    const shown = ofKind.map((some) => {
      if (some.length === 0) return '';
      const best = fastest(some);
      return `${digits(best.microseconds)} (${cell(best.engine ?? best.candidate)}, ${some.length})`;
    });
    const failed = own.filter(({ error }) => error != null).length;
    const [{ problem, batch }] = own;
    return [cell(typeof problem === 'object' ? JSON.stringify(problem) : problem), batch, ...shown, failed || ''];
  });
  return table(['problem', 'batch', ...kinds.map((kind) => `${kind}: us (engine, of how many)`), 'failed'], cells);
}

const MOST_SHOWN = 30;

/** What takes longest, of layers and of kernels; all of them are in the JSON. */
function profile(rows) {
  return groups(rows, ({ network, batch, layer }) => JSON.stringify([network, batch, layer !== undefined]))
    .map((own) => {
      const [{ network, batch, layer, reason, tool }] = own;
      const what = layer === undefined ? `kernels${tool == null ? '' : ` (${tool})`}` : 'layers';
      const title = `${network}, batch ${batch}, ${what}`;
      if (reason !== undefined) return `${title}: ${cell(reason)}`;
      const total = own.reduce((sum, row) => sum + (row.microseconds ?? 0), 0);
      const longest = own.toSorted((a, b) => b.microseconds - a.microseconds).slice(0, MOST_SHOWN);
      const cells = longest.map((row) => [
        cell(row.layer ?? row.kernel),
        cell(row.op),
        digits(row.microseconds),
        ((100 * row.microseconds) / total).toFixed(1),
      ]);
      return `${title}, ${digits(total)} us in all:\n\n${table(['name', 'op', 'us', '%'], cells)}`;
    })
    .join('\n\n');
}

const sanitizer = (rows) =>
  table(
    ['suite', 'tests', 'summary'],
    rows.map(({ suite, tests, summary }) => [suite, tests, cell(summary)]),
  );

export const tables = {
  'device tests': (rows) =>
    table(
      ['suite', 'tests', 'failed', 'skipped', 's', 'graphs'],
      rows.map(({ suite, tests, failed, skipped, seconds, graphs }) => [
        suite,
        tests,
        cell(failed.map(({ name }) => name).join(' ') || 0),
        cell(skipped.join(' ') || 0),
        seconds,
        graphs ?? '',
      ]),
    ),
  products,
  parity: (rows) =>
    table(
      ['what', 'arithmetic', 'measure', 'difference', 'tolerance', ''],
      rows.map(({ subject, arithmetic, measure, value, tolerance, passed }) => [
        subject,
        arithmetic,
        measure,
        value === null ? 'NaN' : value.toExponential(1),
        tolerance.toExponential(0),
        passed ? '' : 'FAILED',
      ]),
    ),
  evaluation,
  'compiled peers': evaluation,
  profile,
  overhead: (rows) =>
    table(
      [
        'network',
        'batch',
        'steps',
        'evaluation, ms',
        'as one: us/step beyond it',
        'watched: us/step beyond it',
        'graphs',
        'card',
      ],
      rows.map((row) => [
        row.network,
        row.batch,
        row.steps,
        digits(row.evaluationMilliseconds),
        digits(row.wholeMicrosecondsPerStep),
        digits(row.watchedMicrosecondsPerStep),
        captureCell(row),
        clocksCell(row),
      ]),
    ),
  update: (rows) =>
    table(
      ['where', 'update', 'batch', 'elements', 'us', 'GB/s', '% of copy', 'card'],
      rows.map((row) => [
        row.where,
        row.name,
        row.batch,
        row.elements,
        digits(row.microseconds),
        digits(row.gigabytesPerSecond),
        row.copyGigabytesPerSecond == null
          ? ''
          : ((100 * row.gigabytesPerSecond) / row.copyGigabytesPerSecond).toFixed(0),
        clocksCell(row),
      ]),
    ),
  memcheck: sanitizer,
  racecheck: sanitizer,
  synccheck: sanitizer,
  initcheck: sanitizer,
};
