// Samples over HTTP with nothing but Node: requests of all clients share one running batch.
//
//   node examples/server.mjs [MODEL] [PORT]
//   curl 'http://127.0.0.1:8080/samples?steps=10&seed=7' > digit.png
//   curl 'http://127.0.0.1:8080/samples?steps=50&stream=1'
import http from 'node:http';

import { DEFAULT_STEPS, DiffusionModel, DpmError } from 'dpm-native';

const [path = 'mnist', port = '8080'] = process.argv.slice(2);
const model = await DiffusionModel.load(path);
const batcher = await model.batcher({ maxWait: 10_000 });

async function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  if (pathname !== '/samples') return void response.writeHead(404).end();
  const left = new AbortController();
  response.on('close', () => left.abort());
  const sampling = {
    sampler: 'ddim',
    steps: Number(searchParams.get('steps') ?? DEFAULT_STEPS),
    seed: Number(searchParams.get('seed') ?? 0),
    tenant: request.socket.remoteAddress ?? '',
    signal: left.signal,
  };
  if (searchParams.has('stream')) {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for await (const { image, ...event } of batcher.stream(sampling)) {
      if (image) event.png = Buffer.from(image.toPng()).toString('base64');
      response.write(`data: ${JSON.stringify(event)}\n\n`);
    }
    response.end();
  } else {
    const { images } = await batcher.sample(sampling);
    response.writeHead(200, { 'content-type': 'image/png' }).end(images.toPng({ scale: 4 }));
  }
}

const statuses = { ERR_DPM_ARGUMENT: 400, ERR_DPM_OVERLOADED: 503, ERR_DPM_DEADLINE: 503, ERR_DPM_CLOSED: 503 };
const server = http.createServer((request, response) => {
  answer(request, response).catch((error) => {
    if (!(error instanceof DpmError) || response.headersSent) return response.destroy(error);
    const wait = Math.ceil((error.retryAfterMs ?? 1000) / 1000);
    response.writeHead(statuses[error.code] ?? 500, { 'retry-after': wait }).end(`${error.message}\n`);
  });
});
server.listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/samples`));
process.once('SIGTERM', async () => {
  server.close();
  await batcher.drain();
  await model.close();
});
