import type { JSX } from 'preact';

import { forget, type PastRun } from '../history.js';

/** Runs of before: each is a link that fills the form with what it was. */
export function Earlier({ runs, clear }: { runs: readonly PastRun[]; clear: () => void }): JSX.Element | null {
  if (runs.length === 0) return null;
  return (
    <section aria-labelledby="earlier-title">
      <h2 id="earlier-title">Earlier</h2>
      <div class="earlier pixels">
        {runs.map(({ query, title, picture }) => (
          <a key={query} href={`?${query}`} title={title}>
            <img src={picture} alt={`Same again with ${title}`} />
          </a>
        ))}
      </div>
      <p>
        <button
          type="button"
          onClick={() => {
            forget();
            clear();
          }}
        >
          Forget them
        </button>
        <small> They are kept in this browser alone.</small>
      </p>
    </section>
  );
}
