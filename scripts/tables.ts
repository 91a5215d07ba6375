#!/usr/bin/env tsx
// Writes tables of documents anew from what they are made of: rooms, options. `npm run format` runs it.
import { readFileSync, writeFileSync } from 'node:fs';

import { markdownTable } from '../test/architecture/imports.js';
import { optionTables, withTable } from '../test/architecture/option-tables.js';
import { rooms } from '../test/architecture/rooms.js';

function rewrite(name: string, change: (text: string) => string): void {
  const file = new URL(`../${name}`, import.meta.url);
  writeFileSync(file, change(readFileSync(file, 'utf8')));
}

rewrite('ARCHITECTURE.md', (text) => {
  const lines = text.split('\n');
  const first = lines.findIndex((line) => line.startsWith('| `lib/base`'));
  const count = lines.slice(first).findIndex((line) => !line.startsWith('|'));
  if (first < 0 || count < 0) throw new Error('ARCHITECTURE.md has no table of rooms');
  lines.splice(first, count, ...markdownTable(rooms).map((row) => `| ${row} |`));
  return lines.join('\n');
});
for (const table of optionTables()) rewrite(table.file, (text) => withTable(text, table));
