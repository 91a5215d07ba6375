import type { JSX } from 'preact';
import { useState } from 'preact/hooks';

import { copiesOf } from '../copies.js';
import type { SampleBody } from '../fields.js';
import type { Model } from '../described.js';
import { again, duration, fileName, type Picture, type RunState } from '../run.js';
import { token } from '../server.js';
import { isSmall } from './comparison.js';
import { RunFigures } from './figures.js';
import { Viewer } from './viewer.js';

/** A run of the view that draws. */
export interface Drawing {
  readonly body: SampleBody;
  readonly model: Model;
  readonly state: RunState;
  /** Time at which it began, as of `performance.now`. */
  readonly begun: number;
  readonly now: number;
}

/** How long it goes on, of the time that what is done has taken. */
function left({ state: { done, total }, begun, now }: Drawing): string {
  if (total === null || done === 0 || done >= total) return '';
  return `, about ${duration(((now - begun) / done) * (total - done))} left`;
}

function stateText(drawing: Drawing): string {
  const { state, begun, now } = drawing;
  const { phase, done, total, expectedWaitMs } = state;
  if (phase === 'accepted') return `accepted, expected wait ${duration(expectedWaitMs)}`;
  if (phase !== 'running') return phase;
  return `${done} of ${total ?? '?'} steps, ${duration(now - begun)}${left(drawing)}`;
}

interface PictureProps {
  readonly picture: Picture | null;
  readonly name: string;
  readonly open: () => void;
}

function PictureButton({ picture, name, open }: PictureProps): JSX.Element {
  if (picture === null) return <div class="picture empty" />;
  const what = picture.record === null ? name : `${name}, record ${picture.record}`;
  return (
    <button type="button" class={`picture${picture.record === null ? '' : ' preview'}`} onClick={open}>
      <img src={picture.src} alt={what} />
    </button>
  );
}

function Copies({ body }: { body: SampleBody }): JSX.Element {
  const [copied, setCopied] = useState('');
  return (
    <details class="copies">
      <summary>As code</summary>
      {copiesOf(body, location.origin, token.value !== null).map(({ name, text }) => (
        <div key={name}>
          <h3>{name}</h3>
          {/* A region that scrolls has to be reached by the keyboard. */}
          <pre tabIndex={0} aria-label={name}>
            {text}
          </pre>
          {/* Pages without TLS have no clipboard, but for those of this machine. */}
          {'clipboard' in navigator && (
            <button
              type="button"
              onClick={() => {
                void navigator.clipboard.writeText(text).then(() => {
                  setCopied(name);
                });
              }}
            >
              {copied === name ? `Copied: ${name}` : `Copy: ${name}`}
            </button>
          )}
        </div>
      ))}
    </details>
  );
}

/** The index of the picture before or after one; places whose picture has not come yet are passed over. */
function nextPicture(pictures: RunState['pictures'], from: number, by: -1 | 1): number {
  let index = from;
  do index = (index + by + pictures.length) % pictures.length;
  while (pictures[index] === null && index !== from);
  return index;
}

/** The pictures of a run, as they form, with its progress, figures and words. */
export function DrawnPictures({ drawing }: { drawing: Drawing }): JSX.Element {
  const [shown, setShown] = useState<number | null>(null);
  const { body, model, state } = drawing;
  const { pictures, problem, figures, done, total } = state;
  const small = isSmall(model);
  const nameOf = (index: number): string => `${body.sampler}, seed ${body.seed}, sample ${index}`;
  const open = shown === null ? null : (pictures[shown] ?? null);
  return (
    <article class={`drawing panel${small ? ' pixels' : ''}`} aria-label="Pictures">
      <div class={`pictures${pictures.length === 1 ? ' single' : ''}`}>
        {pictures.map((picture, index) => (
          <PictureButton
            key={index}
            picture={picture}
            name={nameOf(index)}
            open={() => {
              setShown(index);
            }}
          />
        ))}
      </div>
      <progress aria-label="Progress" max={total ?? 1} value={state.phase === 'done' ? (total ?? 1) : done} />
      <p class="state">{stateText(drawing)}</p>
      <p class="refusal">{problem === null ? '' : `${problem.message}.${again(problem.seconds)}`}</p>
      <RunFigures figures={figures} />
      <Copies body={body} />
      {shown !== null && open !== null && (
        <Viewer
          src={open.src}
          name={nameOf(shown)}
          file={fileName(body, shown)}
          small={small}
          close={() => {
            setShown(null);
          }}
          turn={(by) => {
            setShown(nextPicture(pictures, shown, by));
          }}
        />
      )}
    </article>
  );
}
