// Module that is loaded before the script of a stage. It ends the stage and its processes when report.mjs is gone: nobody would read what
// it
// goes on to measure, and the next run needs the card for itself.
process.stdin.on('end', () => process.kill(-process.pid, 'SIGKILL'));
process.stdin.resume();
process.stdin.unref();
