const KEY = 'dpm-history';
const MOST_KEPT = 24;

/** A run that this browser remembers. */
export interface PastRun {
  /** Query of the link that fills the form again. */
  readonly query: string;
  /** What it was, for people. */
  readonly title: string;
  /** The first image, as a data URL. */
  readonly picture: string;
}

function isPastRun(value: unknown): value is PastRun {
  const { query, title, picture } = Object(value) as Record<string, unknown>;
  return [query, title, picture].every((each) => typeof each === 'string') && String(picture).startsWith('data:image/');
}

/** The runs of before, the newest first. What else lies under the key is left out. */
export function pastRuns(): PastRun[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(kept) ? kept.filter(isPastRun) : [];
  } catch {
    return [];
  }
}

/** Remembers a run; the same one again comes first. Gives all of them. */
export function remember(run: PastRun): PastRun[] {
  let runs = [run, ...pastRuns().filter(({ query }) => query !== run.query)].slice(0, MOST_KEPT);
  // Browsers keep few megabytes, and large pictures fill them.
  for (; runs.length > 0; runs = runs.slice(0, -1)) {
    try {
      localStorage.setItem(KEY, JSON.stringify(runs));
      return runs;
    } catch {
      continue;
    }
  }
  return runs;
}

export function forget(): void {
  localStorage.removeItem(KEY);
}
