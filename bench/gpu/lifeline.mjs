// Loaded before the script of a stage: ends it, and all that it has started, when report.mjs is gone. Nobody would read what it
// goes on to measure, and the next run needs the card for itself.
process.stdin.on('end', () => process.kill(-process.pid, 'SIGKILL'));
process.stdin.resume();
process.stdin.unref();
