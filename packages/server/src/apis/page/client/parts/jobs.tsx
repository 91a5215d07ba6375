import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { cancelJob, firstImage, jobPage, retryJob, type Job, type JobPage } from '../jobs.js';
import { messageOf } from './use-offered.js';

const EVERY_MS = 1000;

const isOver = ({ state }: Job): boolean => ['done', 'failed', 'cancelled'].includes(state);

/** The first image of a job that has one. */
function JobPicture({ job: { id, done, state } }: { job: Job }): JSX.Element {
  const [src, setSrc] = useState<string | null>(null);
  const isThere = done > 0 && state !== 'cancelled';
  // Chunks come in any order: what is not there yet is asked for again when more is done.
  useEffect(() => {
    if (!isThere || src !== null) return undefined;
    let isGone = false;
    void firstImage(id).then((found) => {
      if (!isGone) setSrc(found);
      else if (found !== null) URL.revokeObjectURL(found);
    });
    return () => {
      isGone = true;
    };
  }, [id, isThere, done, src]);
  useEffect(
    () => () => {
      if (src !== null) URL.revokeObjectURL(src);
    },
    [src],
  );
  return src === null ? <span class="picture empty" /> : <img src={src} alt={`first sample of job ${id}`} />;
}

function JobRow({ job, act }: { job: Job; act: (work: Promise<void>) => void }): JSX.Element {
  const { id, state, done, total, model, sampler, seed, createdAt, failedChunks } = job;
  const short = id.slice(0, 8);
  return (
    <article class="job panel pixels" aria-label={`Job ${short}`}>
      <JobPicture job={job} />
      <div class="telling">
        <h3>
          {model}, {sampler}, seed {seed}
        </h3>
        <p class="summary">
          {short}, {new Date(createdAt).toLocaleString()}
        </p>
        <progress aria-label={`Progress of job ${short}`} max={total} value={done} />
        <p class="state">
          {state}: {done} of {total} samples
        </p>
        {failedChunks.length > 0 && <p class="refusal">{failedChunks.length} chunks have failed</p>}
        <p class="buttons">
          {state === 'failed' && (
            <button
              type="button"
              onClick={() => {
                act(retryJob(id));
              }}
            >
              Draw again what failed
            </button>
          )}
          {!isOver(job) && (
            <button
              type="button"
              onClick={() => {
                act(cancelJob(id));
              }}
            >
              Cancel
            </button>
          )}
        </p>
      </div>
    </article>
  );
}

/** Buttons to the pages of older jobs, and back. */
function Pages({
  page,
  cursor,
  turnTo,
}: {
  page: JobPage;
  cursor: string | null;
  turnTo: (cursor: string | null) => void;
}): JSX.Element | null {
  const pages = [
    ...(cursor === null ? [] : [{ name: 'Newest jobs', to: null }]),
    ...(page.next === null ? [] : [{ name: 'Older jobs', to: page.next }]),
  ];
  if (pages.length === 0) return null;
  return (
    <nav class="buttons" aria-label="Pages of jobs">
      {pages.map(({ name, to }) => (
        <button
          key={name}
          type="button"
          onClick={() => {
            turnTo(to);
          }}
        >
          {name}
        </button>
      ))}
    </nav>
  );
}

/** A page of the server's jobs, asked for every second while any of them goes on. */
export function Jobs({ announce }: { announce: (text: string) => void }): JSX.Element {
  const [page, setPage] = useState<JobPage | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isGone = false;
    let told = '';
    const show = async (): Promise<void> => {
      const found = await jobPage(cursor).catch((error: unknown) => messageOf(error));
      if (isGone) return;
      // A server that cannot be reached may come back.
      if (typeof found !== 'string') setPage(found);
      else if (found !== told) announce(found);
      told = typeof found === 'string' ? found : '';
      const goesOn = typeof found === 'string' || found.data.some((job) => !isOver(job));
      if (goesOn) timer = setTimeout(() => void show(), EVERY_MS);
    };
    void show();
    return () => {
      isGone = true;
      clearTimeout(timer);
    };
  }, [turn, cursor]);
  const act = (work: Promise<void>): void => {
    work
      .catch((error: unknown) => {
        announce(messageOf(error));
      })
      .finally(() => {
        setTurn((now) => now + 1);
      });
  };
  if (page === null) return <p>Asking for the jobs</p>;
  if (page.data.length === 0 && cursor === null) {
    return <p>There are no jobs. “Start as a job” of the view Draw makes one.</p>;
  }
  return (
    <div id="jobs">
      {page.data.map((job) => (
        <JobRow key={job.id} job={job} act={act} />
      ))}
      <Pages page={page} cursor={cursor} turnTo={setCursor} />
    </div>
  );
}
