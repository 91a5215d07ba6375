import type { JSX } from 'preact';

import type { SampleBody } from '../fields.js';
import type { Model, Sampler } from '../described.js';
import { again, duration, type RunState } from '../run.js';
import { RunFigures } from './figures.js';

/** A run of one of the samplers that are compared. */
export interface Compared {
  readonly sampler: Sampler;
  readonly body: SampleBody;
  readonly state: RunState;
}

/** Images of fewer lines are enlarged without smoothing. */
const SMALL = 160;

export function isSmall({ shape: [, height] }: Pick<Model, 'shape'>): boolean {
  return height < SMALL;
}

function stateText({ phase, expectedWaitMs, done, total }: RunState): string {
  if (phase === 'accepted') return `accepted, expected wait ${duration(expectedWaitMs)}`;
  return phase === 'running' ? `record ${done} of ${total ?? '?'}` : phase;
}

function Row({ compared: { sampler, state }, small }: { compared: Compared; small: boolean }): JSX.Element {
  const { id, summary } = sampler;
  const of = state.total === null ? '' : ` of ${state.total}`;
  const result = state.pictures[0] ?? null;
  const { problem } = state;
  return (
    <article class={`row panel${small ? ' pixels' : ''}`} aria-label={id} data-sampler={id}>
      <div class="telling">
        <h3>{id}</h3>
        <p class="summary">{summary}</p>
        <p class="state">{stateText(state)}</p>
        <p class="refusal">{problem === null ? '' : `${problem.message}.${again(problem.seconds)}`}</p>
        <div class="strip">
          {state.strip.map(({ src, record }) => (
            <img key={record} src={src} alt={`${id}, record ${record ?? ''}${of}`} />
          ))}
        </div>
      </div>
      <div class="result">
        <div class="frame">
          {result !== null && result.record === null && <img src={result.src} alt={`${id}, result`} />}
        </div>
        <RunFigures figures={state.figures} />
      </div>
    </article>
  );
}

/** How each sampler comes to its result. */
export function Comparison({ runs, model }: { runs: readonly Compared[]; model: Model }): JSX.Element {
  return (
    <div id="results">
      {runs.map((compared) => (
        <Row key={compared.sampler.id} compared={compared} small={isSmall(model)} />
      ))}
    </div>
  );
}
