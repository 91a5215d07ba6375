/**
 * The signals that end a command. On Windows Ctrl+Break is SIGBREAK and a console that is closed SIGHUP, which elsewhere makes a server read
 * its configuration; nothing sends SIGTERM there.
 */
export function endingSignals(platform: NodeJS.Platform = process.platform): NodeJS.Signals[] {
  return platform === 'win32' ? ['SIGINT', 'SIGBREAK', 'SIGHUP'] : ['SIGINT', 'SIGTERM'];
}

/** A signal that aborts on the first interrupt; the second one ends the process at once. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new Error('interrupted'));
  };
  for (const name of endingSignals()) process.on(name, interrupt);
  return controller.signal;
}
