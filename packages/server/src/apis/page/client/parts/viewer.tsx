import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

export interface ViewerProps {
  readonly src: string;
  readonly name: string;
  readonly file: string;
  readonly small: boolean;
  readonly close: () => void;
  /** Shows the picture before or after this one. */
  readonly turn: (by: -1 | 1) => void;
}

/** A picture at full size, over the page. */
export function Viewer({ src, name, file, small, close, turn }: ViewerProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const onKey = ({ key }: KeyboardEvent): void => {
    if (key === 'ArrowLeft') turn(-1);
    if (key === 'ArrowRight') turn(1);
  };
  return (
    <dialog ref={dialog} aria-label={name} class={small ? 'pixels' : ''} onClose={close} onKeyDown={onKey}>
      <img src={src} alt={name} />
      <p class="buttons">
        <a class="button first" href={src} download={file}>
          Download
        </a>
        <button
          type="button"
          onClick={() => {
            turn(-1);
          }}
        >
          Previous
        </button>
        <button
          type="button"
          onClick={() => {
            turn(1);
          }}
        >
          Next
        </button>
        <button
          type="button"
          onClick={() => {
            dialog.current?.close();
          }}
        >
          Close
        </button>
      </p>
    </dialog>
  );
}
