import type { JSX } from 'preact';

import { duration, type Figures } from '../run.js';

/** Times and evaluations of a run; dashes until they are known. */
export function RunFigures({ figures }: { figures: Figures | null }): JSX.Element {
  const each = figures?.msPerEvaluation ?? null;
  const shown = {
    Queue: figures === null ? '–' : duration(figures.queuedMs),
    Run: figures === null ? '–' : duration(figures.runMs),
    // Adaptive samplers evaluate outside of the batch, so the batch does not count their evaluations.
    'Per evaluation': each === null ? '–' : duration(each),
    Evaluations: figures === null || each === null ? '–' : String(figures.evaluations),
  };
  return (
    <dl>
      {Object.entries(shown).map(([name, value]) => (
        <>
          <dt key={name}>{name}</dt>
          <dd key={`${name}-value`}>{value}</dd>
        </>
      ))}
    </dl>
  );
}
