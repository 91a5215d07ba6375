import { useState } from 'preact/hooks';

import { bodyOf, type Fields, type SampleBody, type View } from '../fields.js';
import { remember, type PastRun } from '../history.js';
import type { Model, Sampler } from '../described.js';
import { again, run, waiting, type RunState } from '../run.js';
import type { Compared } from './comparison.js';
import type { Drawing } from './drawing.js';

/** Runs of the form, and what they have drawn. */
export interface Runs {
  readonly drawing: Drawing | null;
  readonly compared: { readonly runs: readonly Compared[]; readonly model: Model } | null;
  readonly isRunning: boolean;
  readonly start: (fields: Fields, samplers: readonly Sampler[], model: Model, view: View) => Promise<void>;
  readonly stop: () => void;
}

/** How a run has ended, for the announcements. */
function endText({ phase, figures, problem }: RunState): string | null {
  if (phase === 'done' && figures !== null) return `done in ${Math.round(figures.queuedMs + figures.runMs)} ms`;
  return phase === 'stopped' ? null : `${phase}.${again(problem?.seconds)}`;
}

/** A run that browsers remember. */
function pastRun({ model, sampler, seed, prompt }: SampleBody, query: string, picture: string): PastRun {
  const what = prompt === undefined ? model : `${model}: ${prompt}`;
  return { query, title: `${what}, ${sampler}, seed ${seed}`, picture };
}

/** Draws, compares and stops. */
export function useRuns(announce: (text: string) => void, setEarlier: (runs: readonly PastRun[]) => void): Runs {
  const [drawing, setDrawing] = useState<Drawing | null>(null);
  const [compared, setCompared] = useState<Runs['compared']>(null);
  const [controller, setController] = useState<AbortController | null>(null);

  const drawOne = async (body: SampleBody, sampler: Sampler, model: Model, signal: AbortSignal): Promise<void> => {
    const begun = performance.now();
    // Until it is done the link may have become another one.
    const query = location.search.slice(1);
    const show = (state: RunState): void => {
      setDrawing({ body, model, state, begun, now: performance.now() });
    };
    show(waiting(body));
    const state = await run(body, { sampler, model }, signal, show);
    const text = endText(state);
    if (text !== null) announce(text);
    const picture = state.pictures[0]?.src;
    if (state.phase === 'done' && picture !== undefined) setEarlier(remember(pastRun(body, query, picture)));
  };

  const compareOne = async ({ sampler, body }: Compared, model: Model, signal: AbortSignal): Promise<void> => {
    const withState = (state: RunState) => (each: Compared) => (each.sampler === sampler ? { ...each, state } : each);
    const state = await run(body, { sampler, model }, signal, (next) => {
      setCompared((before) => before && { ...before, runs: before.runs.map(withState(next)) });
    });
    const text = endText(state);
    if (text !== null) announce(`${sampler.id} ${text}`);
  };

  const start: Runs['start'] = async (fields, samplers, model, view) => {
    const current = new AbortController();
    const { signal } = current;
    setController(current);
    const runs = samplers.map((sampler) => {
      const body = bodyOf(fields, sampler, model, view);
      return { sampler, body, state: waiting(body) };
    });
    if (view === 'compare') {
      setCompared({ runs, model });
      await Promise.all(runs.map((each) => compareOne(each, model, signal)));
    } else {
      await Promise.all(runs.map(({ body, sampler }) => drawOne(body, sampler, model, signal)));
    }
    if (signal.aborted) announce('Stopped');
    setController(null);
  };
  const stop = (): void => {
    controller?.abort();
  };
  return { drawing, compared, isRunning: controller !== null, start, stop };
}
