// A server of a small pipeline of text to image, and the pipeline as the library has it.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll } from 'vitest';

import { ImageBatch, TextToImage, type Generated } from 'dpm-native';

import { Server, type ServerConfig } from '../../src/index.js';
import { ask, type Answer } from '../support.js';

export const fixtures = fileURLToPath(new URL('../../../../test/fixtures/latent', import.meta.url));
export const path = join(fixtures, 'sd1');
export const lora = join(path, 'lora', 'kohya.safetensors');

export let server: Server;
export let pipeline: TextToImage;

/** Serves the pipeline, and the digits beside it, to the tests of a file. */
export function servePrompts(config: Partial<ServerConfig> = {}): void {
  beforeAll(async () => {
    pipeline = await TextToImage.load(path, { device: 'cpu' });
    server = await Server.start({
      models: [
        {
          ...{ id: 'pipe', path, device: 'cpu', sizes: ['16x16', '24x16'] },
          ...{ loras: { style: lora }, preview: join(fixtures, 'taesd') },
        },
        { path: 'mnist', device: 'cpu', rows: 2 },
      ],
      ...{ port: 0, logLevel: 'silent', ...config },
    });
  });
  afterAll(async () => {
    await server.stop();
    await pipeline.close();
  });
}

export const post = (to: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  ask(server, 'POST', to, { body, headers });

/** Asks for images of a text, 16 x 16 pixels in three steps. */
export const drawn = (body: object, headers: Record<string, string> = {}): Promise<Answer> =>
  post(
    '/v1/samples',
    { model: 'pipe', sampler: 'ddim', steps: 3, seed: 7, size: '16x16', prompt: 'a cat', ...body },
    headers,
  );

export const npy = { accept: 'application/x-npy' };

/** Values of an answer as NPY of floats, behind its header. */
export function floatsOf({ bytes }: Answer): Float32Array {
  const begin = 10 + bytes.readUInt16LE(8);
  return new Float32Array(Uint8Array.from(bytes.subarray(begin)).buffer);
}

export const imagesOf = ({ images }: Generated): Float32Array => images?.data ?? new Float32Array();

/** A picture of 16 x 16 pixels, and a mask whose left half is white. */
export const picture = new ImageBatch(
  Uint8Array.from({ length: 768 }, (_, i) => (i * 7) % 256),
  [1, 3, 16, 16],
);
export const mask = new ImageBatch(
  Uint8Array.from({ length: 256 }, (_, i) => (i % 16 < 8 ? 255 : 0)),
  [1, 1, 16, 16],
  [0, 1],
);
export const base64 = (image: ImageBatch): { b64: string } => ({ b64: Buffer.from(image.toPng()).toString('base64') });
