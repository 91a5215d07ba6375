#!/usr/bin/env tsx
// Writes the table of rooms in ARCHITECTURE.md anew from test/architecture/rooms.ts. `npm run format` runs it.
import { readFileSync, writeFileSync } from 'node:fs';

import { markdownTable } from '../test/architecture/imports.js';
import { rooms } from '../test/architecture/rooms.js';

const file = new URL('../ARCHITECTURE.md', import.meta.url);
const lines = readFileSync(file, 'utf8').split('\n');
const first = lines.findIndex((line) => line.startsWith('| `lib/base`'));
const count = lines.slice(first).findIndex((line) => !line.startsWith('|'));
if (first < 0 || count < 0) throw new Error('ARCHITECTURE.md has no table of rooms');
lines.splice(first, count, ...markdownTable(rooms).map((row) => `| ${row} |`));
writeFileSync(file, lines.join('\n'));
