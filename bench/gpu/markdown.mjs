// gpu-check.json for people.
const table = (header, rows) =>
  [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const cell = (value) =>
  String(value ?? '')
    .replaceAll('|', '/')
    .replaceAll('\n', ' ');

/** Three digits, and never more zeros than needed. */
const digits = (value) => (value === null || value === undefined ? '' : String(Number(value.toPrecision(3))));

const machineNames = {
  card: 'card',
  memory: 'memory',
  powerLimit: 'power limit',
  processorClock: 'clock of processors',
  memoryClock: 'clock of memory',
  driver: 'driver',
  cudaOfDriver: "the driver's CUDA",
  cuda: 'CUDA',
  cudnn: 'cuDNN',
  device: 'device',
  torch: 'PyTorch',
  torchCuda: "PyTorch's CUDA",
  torchCudnn: "PyTorch's cuDNN",
  processor: 'processor',
  threads: 'threads',
  node: 'Node',
};

function machine(values) {
  const rows = Object.entries(machineNames).filter(([key]) => values[key] !== undefined && values[key] !== '');
  return table(
    ['', ''],
    rows.map(([key, name]) => [name, cell(values[key] ?? 'none')]),
  );
}

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
  ]);
  const missing = rows
    .filter(({ error }) => error !== undefined)
    .map((row) => `- ${cell([row.network, row.batch, row.arm].filter(Boolean).join(', '))}: ${cell(row.error)}`);
  const header = ['network', 'batch', 'engine', 'ms/evaluation', 'fastest round', `over ${base}`, 'ready after, s'];
  return [table(header, cells), ...(missing.length > 0 ? [missing.join('\n')] : [])].join('\n\n');
}

const tables = {
  'device tests': (rows) =>
    table(
      ['tests', 'failed', 'skipped', 's'],
      rows.map(({ tests, failed, skipped, seconds }) => [
        tests,
        cell(failed.map(({ name }) => name).join(' ') || 0),
        cell(skipped.join(' ') || 0),
        seconds,
      ]),
    ),
  memcheck: (rows) =>
    table(
      ['tests', 'summary'],
      rows.map(({ tests, summary }) => [tests, cell(summary)]),
    ),
  racecheck: (rows) =>
    table(
      ['tests', 'summary'],
      rows.map(({ tests, summary }) => [tests, cell(summary)]),
    ),
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
  update: (rows) =>
    table(
      ['where', 'update', 'batch', 'elements', 'us', 'GB/s', '% of copy'],
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
      ]),
    ),
  overhead: (rows) =>
    table(
      ['network', 'batch', 'steps', 'evaluation, ms', 'as one: us/step beyond it', 'watched: us/step beyond it'],
      rows.map((row) => [
        row.network,
        row.batch,
        row.steps,
        digits(row.evaluationMilliseconds),
        digits(row.wholeMicrosecondsPerStep),
        digits(row.watchedMicrosecondsPerStep),
      ]),
    ),
};

export function toMarkdown(report) {
  const parts = [
    '# GPU check',
    `${report.date}, mode: ${report.mode}${report.quick ? ', quick' : ''}. ` +
      `${report.passed} passed, ${report.failed} failed, ${report.skipped} skipped.`,
    machine(report.machine),
    table(
      ['stage', 'status', 's', ''],
      report.stages.map(({ name, status, seconds, reason }) => [name, status, seconds, cell(reason)]),
    ),
  ];
  for (const { name, rows } of report.stages) {
    if (rows.length > 0 && tables[name] !== undefined) parts.push(`## ${name}`, tables[name](rows));
  }
  return `${parts.join('\n\n')}\n`;
}
