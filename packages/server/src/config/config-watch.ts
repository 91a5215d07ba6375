import { type Stats, unwatchFile, watchFile } from 'node:fs';

/** Milliseconds between two looks at the file. */
const EVERY = 2000;

/** Calls back on SIGHUP and whenever a file changes. The function that it returns ends that. */
export function watchConfig(file: string, changed: () => void): () => void {
  const look = (now: Stats, before: Stats): void => {
    if (now.mtimeMs !== before.mtimeMs || now.size !== before.size) changed();
  };
  watchFile(file, { interval: EVERY, persistent: false }, look);
  // Windows sends SIGHUP when the console is closed.
  if (process.platform !== 'win32') process.on('SIGHUP', changed);
  return () => {
    unwatchFile(file, look);
    process.off('SIGHUP', changed);
  };
}
