// Serves the bundled model with `dpm serve` in a project that has installed both packages, and ends it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const server = spawn('npx', ['--no', 'dpm', 'serve', 'mnist', '--port', '0', '--rows', '2', '--log-level', 'silent'], {
  stdio: ['ignore', 'pipe', 'inherit'],
  detached: true,
});
const [line] = await once(server.stdout, 'data');
const url = /^serving at (\S+)$/m.exec(String(line))?.[1];
const answer = await fetch(`${url}/v1/samples`, {
  method: 'POST',
  headers: { 'content-type': 'application/json', accept: 'image/png' },
  body: JSON.stringify({ model: 'mnist', sampler: 'ddim', steps: 2, seed: 1 }),
});
const png = Buffer.from(await answer.arrayBuffer());
assert.equal(answer.status, 200);
assert.equal(png.subarray(1, 4).toString(), 'PNG');
// Npx does not pass signals on to what it runs.
process.kill(-server.pid, 'SIGTERM');
await once(server, 'close');
await assert.rejects(fetch(url));
