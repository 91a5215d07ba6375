// The rows of each stage as tables of Markdown.
export const table = (header, rows) =>
  [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

export const cell = (value) =>
  String(value ?? '')
    .replaceAll('|', '/')
    .replaceAll('\n', ' ');

/** A number with three digits, and never more zeros than needed. */
const digits = (value) => (value === null || value === undefined ? '' : String(Number(value.toPrecision(3))));

/** The state of the card during a measurement, in one cell. */
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

/** Times of arms, as `unit` says, and over those of the first one. */
function timesOf(rows, unit) {
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
  const times = [`ms/${unit}`, 'fastest round', `over ${base}`, 'ready after, s'];
  const header = ['network', 'batch', 'engine', ...times, 'graphs', 'card'];
  return [table(header, cells), ...listOf(missing)].join('\n\n');
}

const evaluation = (rows) => timesOf(rows, 'evaluation');

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

const MOST_SHOWN = 30;

const productKinds = ['bare', 'joined', 'joined fallback', 'attention', 'own small', 'own'];

/** The fastest candidate of one kind, its engine and the number of candidates. */
function productCell(rows) {
  if (rows.length === 0) return '';
  const { microseconds, engine, candidate } = fastest(rows);
  const whose = engine ?? candidate;
  return `${digits(microseconds)}${whose === undefined ? '' : ` (${cell(whose)}, ${rows.length})`}`;
}

const relativeError = ({ relativeError: error }) => (error === null ? 'NaN' : (error?.toExponential(1) ?? 'no number'));

/** The fastest right candidate of every kind, and what was wrong or failed; all of them are in the JSON. */
function products(rows) {
  const cells = groups(rows, ({ problem, batch }) => JSON.stringify([problem, batch])).map((own) => {
    const right = own.filter((row) => row.right !== false);
    const shown = productKinds.map((kind) => productCell(right.filter((row) => row.kind === kind)));
    const failed = own.filter(({ error }) => error != null).length;
    const [{ problem, batch }] = own;
    const name = cell(typeof problem === 'object' ? JSON.stringify(problem) : problem);
    return [name, batch, ...shown, own.length - right.length || '', failed || ''];
  });
  const bad = rows
    .filter(({ right, error }) => right === false || error != null)
    .map((row) => {
      const what = row.right === false ? `WRONG by ${relativeError(row)}` : row.error;
      return `${row.problem}, batch ${row.batch}, ${row.kind} ${row.candidate ?? ''}: ${what}`;
    });
  const header = [...productKinds.map((kind) => `${kind}: us (engine, of how many)`), 'wrong', 'failed'];
  return [table(['problem', 'batch', ...header], cells), ...listOf(bad.slice(0, MOST_SHOWN))].join('\n\n');
}

/** The layers and kernels that take longest; all of them are in the JSON. */
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
  sequences: (rows) =>
    table(
      ['network', 'type', 'place', 'batch', 'values that differ'],
      rows.map(({ network, dtype, place, batch, differing }) => [network, dtype, place, batch, differing]),
    ),
  evaluation,
  'compiled peers': evaluation,
  train: (rows) => timesOf(rows, 'step'),
  operations: (rows) =>
    table(
      ['operation', 'case', 'us', '', ''],
      rows.map(({ operation, family, case: index, microseconds, rate, unit }) => [
        operation,
        cell(`${family} ${index}`),
        digits(microseconds),
        digits(rate),
        unit,
      ]),
    ),
  profile,
  overhead: (rows) =>
    table(
      [
        'network',
        'batch',
        'steps',
        'evaluation, ms',
        'unwatched: us/step beyond it',
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
