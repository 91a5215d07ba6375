import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { configSchema, settingsFields } from '../../packages/server/src/config/settings.js';
import { packagePath } from '../support/temporary.js';
import { optionTables, settingRows, valuesOf, withTable } from './option-tables.js';

/** A table without the spaces that align its columns. */
function unaligned(text: string): string {
  return text
    .split('\n')
    .map((line) => (line.startsWith('|') ? line.replaceAll(/ +/g, ' ').replaceAll(/-+ /g, '--- ') : line))
    .join('\n');
}

describe('tables of options in docs/', () => {
  it.each(optionTables())('in $file below $mark are as the code has them', (table) => {
    const text = readFileSync(packagePath(table.file), 'utf8');
    expect(table.rows.length).toBeGreaterThan(3);
    // `npm run format` writes it anew.
    expect(unaligned(text)).toBe(unaligned(withTable(text, table)));
  });

  it('are noticed where a row differs', () => {
    const [table] = optionTables();
    const text = readFileSync(packagePath(table?.file ?? ''), 'utf8').replace('30,000', '20,000');
    expect(unaligned(text)).not.toBe(unaligned(withTable(text, table!)));
  });

  it('have the fields of the configuration with what is put in on the command line', () => {
    const flag = { value: 'SECONDS', read: () => undefined };
    const fields = {
      maxWait: { help: 'a wait', standard: 30_000, flag },
      port: { help: 'a port', standard: 8080, flag: { ...flag, name: 'at', value: 'N' } },
      cors: { help: 'origins', standard: [] },
      memory: { help: 'bytes', standard: Infinity, flag: { read: () => undefined } },
    };
    expect(settingRows(fields).slice(2)).toEqual([
      '| `maxWait` | `--max-wait SECONDS` | 30,000 | a wait |',
      '| `port` | `--at N` | 8080 | a port |',
      '| `cors` |  | none | origins |',
      '| `memory` | `--memory` | no limit | bytes |',
    ]);
    // The one list of them: what a configuration may have beside models.
    const { models: _, ...properties } = configSchema.properties;
    expect(settingRows(settingsFields)).toHaveLength(2 + Object.keys(properties).length);
  });

  it('have the values of schemas in words', () => {
    expect(valuesOf({ type: 'integer', minimum: 1, maximum: 64 })).toBe('integer from 1 to 64');
    expect(valuesOf({ anyOf: [{ type: 'number' }, { type: 'array', items: { type: 'number' }, maxItems: 4 }] })).toBe(
      'number or up to 4 of number',
    );
    expect(valuesOf({ enum: ['a', 'b'] })).toBe('`a`, `b`');
    expect(valuesOf({ type: 'number', exclusiveMinimum: 0 })).toBe('number above 0');
  });
});
