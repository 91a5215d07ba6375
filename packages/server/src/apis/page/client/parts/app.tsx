import type { JSX } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

import { bodyOf, chosenSamplers, drawnSeed, fieldsOf, queryOf, type Fields, type View } from '../fields.js';
import { pastRuns, type PastRun } from '../history.js';
import { jobsIfAny, startJob } from '../jobs.js';
import { limits } from '../limits.js';
import type { Model } from '../described.js';
import { token } from '../server.js';
import { Announcements } from './announcer.js';
import { Comparison } from './comparison.js';
import { DrawnPictures } from './drawing.js';
import { Earlier } from './earlier.js';
import { Jobs } from './jobs.js';
import { Load } from './load.js';
import { RunForm } from './run-form.js';
import { TokenForm } from './token-form.js';
import { messageOf, useOffered } from './use-offered.js';
import { useRuns } from './use-runs.js';
import { Views, viewOf } from './views.js';

const standard: Fields = {
  model: '',
  // The first one draws, both are compared.
  samplers: ['unipc', 'ddim'],
  steps: limits.defaultSteps,
  count: '4',
  seed: '',
  class: '0',
  guidance: '',
  prompt: '',
  negative: '',
  size: '',
  lora: '',
  image: '',
  strength: '0.6',
  options: {},
};

const titles = { draw: 'Pictures', compare: 'Results', jobs: 'Jobs' } as const satisfies Record<View, string>;

const linked = new URLSearchParams(location.search);

/** Changes the link of the page, by which it can be opened as it is. */
function setLink(query: URLSearchParams): void {
  history.replaceState(null, '', `?${query.toString()}`);
}

function linkTo(view: View): void {
  const query = new URLSearchParams(location.search);
  if (view === 'draw') query.delete('view');
  else query.set('view', view);
  setLink(query);
}

/** Texts that are announced, and what adds one or clears them. */
function useAnnouncements(): [readonly string[], (text: string) => void, () => void] {
  const [texts, setTexts] = useState<readonly string[]>([]);
  const announce = useCallback((text: string): void => {
    setTexts((before) => [...before, text]);
  }, []);
  const clear = useCallback((): void => {
    setTexts([]);
  }, []);
  return [texts, announce, clear];
}

/** Tells whether the server takes jobs of whoever looks at the page. */
function useTakesJobs(isReady: boolean): boolean {
  const [takesJobs, setTakesJobs] = useState(false);
  useEffect(() => {
    if (isReady)
      void jobsIfAny().then((jobs) => {
        setTakesJobs(jobs !== null);
      });
  }, [isReady]);
  return takesJobs;
}

/** The page. */
export function App(): JSX.Element {
  const [view, setView] = useState<View>(viewOf(linked));
  const [reason, setReason] = useState<string | null>(null);
  const [earlier, setEarlier] = useState<readonly PastRun[]>(pastRuns());
  const [texts, announce, clear] = useAnnouncements();
  useEffect(() => {
    token.shownBy(setReason);
  }, []);
  const offered = useOffered(fieldsOf(linked, standard), linked.has('sampler'), announce);
  const runs = useRuns(announce, setEarlier);
  const { fields, change, model, samplers } = offered;
  const takesJobs = useTakesJobs(model !== undefined);
  const isStarting = useRef(false);

  const choose = (next: View): void => {
    setView(next);
    clear();
    linkTo(next);
  };
  /** The fields with a seed, which the form and the link get, too. */
  const seeded = (of: Model): Fields => {
    const whole = fields.seed === '' ? { ...fields, seed: drawnSeed() } : fields;
    change({ seed: whole.seed });
    setLink(queryOf(whole, view, of));
    return whole;
  };
  const chosen = chosenSamplers(fields, view).flatMap((name) => samplers.get(name) ?? []);
  const start = (): void => {
    if (runs.isRunning || model === undefined) return;
    clear();
    if (chosen.length === 0) announce('No sampler is chosen');
    else void runs.start(seeded(model), chosen, model, view);
  };
  const startAsJob = (): void => {
    const [sampler] = chosen;
    if (model === undefined || sampler === undefined || isStarting.current) return;
    clear();
    isStarting.current = true;
    startJob(bodyOf(seeded(model), sampler, model, view))
      .then(
        () => {
          choose('jobs');
        },
        (error: unknown) => {
          announce(messageOf(error));
        },
      )
      .finally(() => {
        isStarting.current = false;
      });
  };
  return (
    <>
      <header>
        <h1>dpm serve</h1>
        <Views view={view} takesJobs={takesJobs} choose={choose} />
      </header>
      <main>
        {reason !== null && <TokenForm reason={reason} />}
        {view !== 'jobs' && (
          <RunForm
            {...offered}
            view={view}
            set={change}
            isRunning={runs.isRunning}
            run={start}
            stop={runs.stop}
            startJob={takesJobs ? startAsJob : undefined}
          />
        )}
        <section aria-labelledby="results-title">
          <h2 id="results-title">{titles[view]}</h2>
          <Announcements texts={texts} />
          {view === 'draw' && runs.drawing !== null && <DrawnPictures drawing={runs.drawing} />}
          {view === 'compare' && runs.compared !== null && <Comparison {...runs.compared} />}
          {view === 'jobs' && <Jobs announce={announce} />}
          <Load id={fields.model} isRunning={runs.isRunning} />
        </section>
        {view === 'draw' && (
          <Earlier
            runs={earlier}
            clear={() => {
              setEarlier([]);
            }}
          />
        )}
      </main>
    </>
  );
}
