// A journal of everything that a run learns, as lines of JSON written as they come: however the run ends, no measurement is
// lost. An attempt at a stage is a line with `begin`, lines with a `row`, something `strange` or something `said`, and one with
// its `end`, which is missing where the run itself was ended.
import { randomUUID } from 'node:crypto';
import { appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const JOURNAL = 'gpu-check.jsonl';
const KEPT_CHARACTERS = 4000;
/** The most text that the journal keeps of an attempt's output, so that the file stays small enough to be sent. */
const MOST_SAID = 2 ** 18;

/** The object of a line of JSON; null for a line of a library, or for half a line that an interrupted run has left. */
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

  /** Notes where the run takes place, once a stage has found that out. */
  runsOn(origin) {
    this.#write({ origin });
  }

  /** Notes a line of the stage's stdout. */
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

/** The journal in which results of several runs come together, and a copy that is sent back whenever this run ends. */
export class Journal {
  #files;

  constructor(state, out) {
    this.file = resolve(state, JOURNAL);
    const copy = resolve(out, JOURNAL);
    this.#files = [...new Set([this.file, copy])];
    for (const folder of [state, out]) mkdirSync(folder, { recursive: true });
    // The last line of an interrupted run may have no end of line.
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

/** The attempts of a journal in their order, by their ids. */
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

/** The attempts of several journals. A run's journal begins with a copy of the earlier ones. */
export function readAllAttempts(files) {
  const attempts = new Map(files.flatMap((file) => [...readAttempts(file)]));
  return [...attempts.values()].sort((a, b) => a.started.localeCompare(b.started));
}

/** The path of a folder's journal, or the path itself if it is a file. */
export const journalAt = (path) => (path.endsWith('.jsonl') ? path : join(path, JOURNAL));
