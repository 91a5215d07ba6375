#!/usr/bin/env tsx
// Writes what documents have of the code anew: tables of rooms and options, the reference of commands. `npm run format` runs it.
import { readFileSync, writeFileSync } from 'node:fs';

import { commandReference, referenceFile } from '../test/architecture/command-reference.js';
import { markdownTable } from '../test/architecture/imports.js';
import { optionTables, withTable, type DocumentTable } from '../test/architecture/option-tables.js';
import { rooms } from '../test/architecture/rooms.js';

const tableOfRooms: DocumentTable = {
  file: 'ARCHITECTURE.md',
  mark: '<!-- rooms -->',
  rows: ['| room | holds | may use |', '| --- | --- | --- |', ...markdownTable(rooms).map((row) => `| ${row} |`)],
};

for (const table of [tableOfRooms, ...optionTables()]) {
  const file = new URL(`../${table.file}`, import.meta.url);
  writeFileSync(file, withTable(readFileSync(file, 'utf8'), table));
}

writeFileSync(new URL(`../${referenceFile}`, import.meta.url), await commandReference());
