/** Milliseconds after which a reader is told that nothing has changed. */
const LONGEST_WAIT = 15_000;

/** Those who wait for changes of jobs, by the jobs' ids. */
export class Readers {
  readonly #waiting = new Map<string, Set<(isChanged: boolean) => void>>();

  /** Waits for a change of a job, and tells whether there may have been one. */
  async wait(id: string, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    const readers = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, readers);
    return new Promise<boolean>((resolve) => {
      const end = (isChanged: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', leave);
        readers.delete(end);
        if (readers.size === 0 && this.#waiting.get(id) === readers) this.#waiting.delete(id);
        resolve(isChanged);
      };
      const leave = (): void => {
        end(false);
      };
      const timer = setTimeout(leave, LONGEST_WAIT);
      signal.addEventListener('abort', leave);
      readers.add(end);
    });
  }

  /** Tells that a job has changed. */
  tell(id: string): void {
    for (const end of this.#waiting.get(id) ?? []) end(true);
  }

  /** Tells that any job may have changed. */
  tellAll(): void {
    for (const id of [...this.#waiting.keys()]) this.tell(id);
  }
}
