// Collects the results of all stages, from the attempts of this run and earlier ones.
import { problemOf } from './schema.mjs';

const MOST_STRANGE = 50;
const originKeys = ['mode', 'quick', 'card', 'driver', 'processor'];

/** The origin of results. A report has results of one origin only. */
export const originOf = (mode, quick, { card = null, driver = null, processor = null }) => ({
  mode,
  quick,
  card,
  driver,
  processor,
});

export const isFrom = (origin, attempt) =>
  attempt.origin !== undefined && originKeys.every((key) => attempt.origin[key] === origin[key]);

/** An attempt in the form of the report. */
export function resultOf(attempt) {
  const { stage: name, rows, strange, said, seconds, started, limit, build = null } = attempt;
  const end = attempt.end ?? { status: 'failed', reason: 'cut off', cutOff: true };
  const problems = rows.map((row) => problemOf(name, row));
  const misformed = rows.flatMap((row, i) =>
    problems[i] === null ? [] : [`${problems[i]}: ${JSON.stringify(row).slice(0, 500)}`],
  );
  const result = {
    name,
    status: end.status,
    reason: end.reason,
    cutOff: end.cutOff ?? false,
    seconds,
    limit,
    started,
    build,
    rows: rows.filter((_, i) => problems[i] === null),
    strange: [...misformed, ...strange].slice(0, MOST_STRANGE),
    said: said.trim(),
  };
  // Libraries may print anything, but an unreadable row means that a result is missing.
  const unread = [...misformed, ...strange.filter((line) => line.startsWith('{'))];
  if (end.status !== 'ok' || unread.length === 0) return result;
  return { ...result, status: 'failed', reason: `${unread.length} unreadable rows: ${unread[0].slice(0, 200)}` };
}

/** Ranks attempts: one that came to its end says more than one that was cut off, which says more than none. */
function rank({ status, cutOff }) {
  if (status === 'skipped') return 0;
  return cutOff ? 1 : 2;
}

/** Tells whether `later` replaces `earlier`: always, unless it was cut off or skipped and knows less. */
function replaces(later, earlier) {
  const difference = rank(later) - rank(earlier);
  if (difference !== 0) return difference > 0;
  return !later.cutOff || later.rows.length >= earlier.rows.length;
}

/** The results of all stages that were attempted at this origin, by their names. */
export function knownResults(attempts, origin) {
  const known = new Map();
  for (const result of attempts.filter((attempt) => isFrom(origin, attempt)).map(resultOf)) {
    const earlier = known.get(result.name);
    if (earlier === undefined || replaces(result, earlier)) known.set(result.name, result);
  }
  return known;
}
