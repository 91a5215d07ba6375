// Binary batches of CIFAR, in one file or two, whose form their names or their lengths say.
import { readCifar } from '../../../lib/training/data/cifar.js';
import { fileOf, takenOrRefused } from '../refused.js';

const names = ['data_batch_1.bin', 'train.bin', 'a.bin'];

export async function fuzz(data: Buffer): Promise<void> {
  // Bytes that are repeated reach records sooner than as many of their own.
  const [name = 0, length = 0, ...rest] = data;
  const size = [3073, 3074, 2 * 3073, 3072][length % 4] ?? 0;
  const path = fileOf(Buffer.alloc(size + (length >> 6), Buffer.from([0, ...rest])), names[name % names.length] ?? '');
  for (const paths of [[path], [path, path]]) {
    await takenOrRefused(async () => {
      const { images, labels, shape } = await readCifar(paths);
      const wrong = labels?.find((label) => !(label >= 0 && label < 100));
      if (images.length !== shape[0] * 3072 || labels?.length !== shape[0] || wrong !== undefined) {
        throw new Error(`${images.length} levels and ${labels?.length ?? 0} labels, one ${wrong ?? 'right'}`);
      }
    });
  }
}
