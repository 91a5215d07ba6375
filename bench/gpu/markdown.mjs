// Writes gpu-check.json as Markdown, for people.
import { cell, table, tables } from './tables.mjs';

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

function section({ name, rows, strange }) {
  const parts = [];
  if (rows.length > 0 && tables[name] !== undefined) parts.push(tables[name](rows));
  if (strange.length > 0) parts.push(`Unreadable lines:\n\n${strange.map((line) => `- \`${cell(line)}\``).join('\n')}`);
  return parts.length > 0 ? [`## ${name}`, ...parts] : [];
}

export function toMarkdown(report) {
  const parts = [
    '# GPU check',
    `${report.date}, mode: ${report.mode}${report.quick ? ', quick' : ''}. ` +
      `${report.passed} passed, ${report.failed} failed, ${report.skipped} skipped.`,
    machine(report.machine),
    table(
      ['stage', 'status', 's', 'started', 'build', ''],
      report.stages.map(({ name, status, seconds, started, build, reason }) => [
        name,
        status,
        seconds,
        started.slice(0, 16),
        build ?? '',
        cell(reason),
      ]),
    ),
    ...report.stages.flatMap(section),
  ];
  return `${parts.join('\n\n')}\n`;
}
