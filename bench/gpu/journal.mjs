// Everything that a run learns, as lines of JSON written as they come: whatever ends the run, nothing that was measured is
// lost. An attempt at a stage is a line with `begin`, lines with a `row`, something `strange` or something `said`, and one with
// its `end`, which is missing where the run itself was ended.
import { randomUUID } from 'node:crypto';
import { appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const JOURNAL = 'gpu-check.jsonl';
const KEPT_CHARACTERS = 4000;
/** Of what an attempt says: those who print everything would make the file too large to be taken home. */
const MOST_SAID = 2 ** 18;

/** The object that a line of JSON is, or null: a library's line, or the half of one that the end of a run has left. */
export function parseObject(line) {
  try {
    const value = JSON.parse(line);
    return typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

class Attempt {
  #write;
  #start = performance.now();
  #said = 0;

  constructor(id, write) {
    this.id = id;
    this.#write = (event) => write({ ...event, at: Number(((performance.now() - this.#start) / 1000).toFixed(1)) });
  }

  begin(facts) {
    this.#write({ begin: facts });
  }

  /** Where it runs, for the one that finds that out. */
  runsOn(origin) {
    this.#write({ origin });
  }

  /** A line of the stage's stdout. */
  line(text) {
    const row = parseObject(text);
    if (row !== null) this.#write({ row });
    else if (text.trim() !== '') this.#write({ strange: text.slice(0, KEPT_CHARACTERS) });
  }

  say(text) {
    if (this.#said < MOST_SAID) this.#write({ said: text });
    this.#said += text.length;
  }

  end(outcome) {
    this.#write({ end: outcome });
  }
}

/** Where the results of several runs come together, and a copy that is taken home whenever this run ends. */
export class Journal {
  #files;

  constructor(state, out) {
    this.file = resolve(state, JOURNAL);
    const copy = resolve(out, JOURNAL);
    this.#files = [...new Set([this.file, copy])];
    for (const folder of [state, out]) mkdirSync(folder, { recursive: true });
    // What a run was writing when it was ended has no end of line.
    if (existsSync(this.file) && !readFileSync(this.file, 'utf8').endsWith('\n')) appendFileSync(this.file, '\n');
    if (existsSync(this.file) && copy !== this.file) copyFileSync(this.file, copy);
  }

  begin(facts) {
    const id = randomUUID();
    const attempt = new Attempt(id, (event) => this.#append({ attempt: id, ...event }));
    attempt.begin(facts);
    return attempt;
  }

  #append(event) {
    for (const file of this.#files) appendFileSync(file, `${JSON.stringify(event)}\n`);
  }
}

const empty = (id, facts) => ({ id, ...facts, rows: [], strange: [], said: '', seconds: 0, end: null });

function follow(attempt, { at, origin, row, strange, said, end }) {
  attempt.seconds = at;
  attempt.origin = origin ?? attempt.origin;
  if (row !== undefined) attempt.rows.push(row);
  if (strange !== undefined) attempt.strange.push(strange);
  if (said !== undefined) attempt.said = `${attempt.said}${said}`.slice(-KEPT_CHARACTERS);
  attempt.end = end ?? attempt.end;
}

/** The attempts that a journal tells of, in their order, by their ids. */
export function readAttempts(file) {
  const attempts = new Map();
  if (!existsSync(file)) return attempts;
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const event = parseObject(line);
    if (event === null) continue;
    if (event.begin !== undefined) attempts.set(event.attempt, empty(event.attempt, event.begin));
    const attempt = attempts.get(event.attempt);
    if (attempt !== undefined) follow(attempt, event);
  }
  return attempts;
}

/** Those of several journals; a run's journal begins with a copy of what was known before. */
export function readAllAttempts(files) {
  const attempts = new Map(files.flatMap((file) => [...readAttempts(file)]));
  return [...attempts.values()].sort((a, b) => a.started.localeCompare(b.started));
}

/** The journal of a folder, or the file itself. */
export const journalAt = (path) => (path.endsWith('.jsonl') ? path : join(path, JOURNAL));
