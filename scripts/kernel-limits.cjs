#!/usr/bin/env node
'use strict';
// Compares the cost of kernels, their instructions (of cuobjdump -sass) and registers (of ptxas -v), with a list of limits.
//
//   node kernel-limits.cjs LIMITS SASS PTXAS_LOG
const { readFileSync } = require('node:fs');

const [limitsFile, sassFile, reportFile] = process.argv.slice(2);
const lines = (file) => readFileSync(file, 'utf8').split('\n');

/** Kernels by architecture and mangled name. */
const kernels = new Map();
const kernelOf = (architecture, name) => {
  const key = `${architecture} ${name}`;
  if (!kernels.has(key)) kernels.set(key, { architecture, name, instructions: 0, products: 0, registers: 0 });
  return kernels.get(key);
};

let architecture = '';
let kernel = null;
for (const line of lines(sassFile)) {
  architecture = /^\s*arch = (sm_\d+)/.exec(line)?.[1] ?? architecture;
  const name = /Function : (\S+)/.exec(line)?.[1];
  if (name !== undefined) kernel = kernelOf(architecture, name);
  const instruction = /\/\*[0-9a-f]{4,}\*\/\s+(?:@!?U?P\S+\s+)?([A-Z][A-Z0-9_.]*)/.exec(line)?.[1];
  if (instruction === undefined || kernel === null) continue;
  ++kernel.instructions;
  if (/^H?GMMA|^HMMA/.test(instruction)) ++kernel.products;
}
kernel = null;
for (const line of lines(reportFile)) {
  const entry = /Compiling entry function '(\w+)' for '(\w+)'/.exec(line);
  if (entry !== null) kernel = kernels.get(`${entry[2]} ${entry[1]}`) ?? null;
  const registers = /Used (\d+) registers/.exec(line)?.[1];
  if (registers !== undefined && kernel !== null) kernel.registers = Number(registers);
}

const architectures = new Set([...kernels.values()].map((each) => each.architecture));
let failures = 0;
for (const line of lines(limitsFile)) {
  if (line.startsWith('#') || line === '') continue;
  const [wanted, file, pattern, elements, instructions, registers, products] = line.split(' ');
  if (!architectures.has(wanted)) continue;
  const found = [...kernels.values()].filter((each) => each.architecture === wanted && each.name.includes(pattern));
  const [each] = found;
  const isWithin =
    found.length === 1 &&
    each.registers > 0 &&
    each.instructions <= Number(instructions) &&
    each.registers <= Number(registers) &&
    each.products >= Number(products);
  if (!isWithin) ++failures;
  const per = (each?.instructions ?? 0) / Number(elements);
  const counts =
    each === undefined
      ? 'no such kernel'
      : `${each.instructions} instructions, ${each.registers} registers, ${each.products} products of tiles`;
  const note = Number(elements) > 1 ? `, ${per.toFixed(1)} instructions an element` : '';
  console.log(
    `${wanted} ${file} ${pattern}: ${counts}${note}${isWithin ? '' : `: MORE than ${instructions}, ${registers}, ${products}`}`,
  );
}
process.exit(failures > 0 ? 1 : 0);
