// The file of cells, written after every one of them.
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';

import { readJson, writeJson } from './files.mjs';
import { rows } from './rows.mjs';

/** The settings that all cells of a file share. */
const common = ['model', 'features', 'reference', 'samples', 'seed'];

function requireSame(path, kept, head) {
  const other = common.find((key) => kept[key] !== head[key]);
  if (other === undefined) return;
  throw new Error(
    `${path} holds cells with ${other} ${kept[other]}, these would have ${head[other]}; keep them in another file (--results)`,
  );
}

const place = (cell) => rows.findIndex((row) => row.id === cell.row);

export class Results {
  #path;
  #head;
  #cells;

  /** Opens a file of cells or begins one; cells that are there stay. */
  static async open(path, head) {
    const results = new Results();
    results.#path = path;
    results.#head = head;
    results.#cells = [];
    if (existsSync(path)) {
      const kept = await readJson(path, '');
      requireSame(path, kept, head);
      results.#cells = kept.cells;
    }
    return results;
  }

  has({ row, steps }) {
    return this.#cells.some((cell) => cell.row === row.id && cell.steps === steps);
  }

  async add(cell) {
    this.#cells.push(cell);
    this.#cells.sort((a, b) => place(a) - place(b) || a.steps - b.steps);
    const date = new Date().toISOString().slice(0, 10);
    await writeJson(this.#path, { ...this.#head, date, cells: this.#cells });
  }
}

/** The machine of a run, in words. */
export const machine = (device) => `${cpus()[0].model}, ${cpus().length} cores; ${device.description}`;
