// Configurations of networks, as JSON and as YAML, for a file that has no weights of theirs.
import { readModelFolder } from '../../../lib/checkpoint/read-model.js';
import { multiplyAdds, parameterCount } from '../../../lib/network/cost.js';
import { unetGraph } from '../../../lib/network/unet.js';
import { fileOf, takenOrRefused } from '../refused.js';

const header = Buffer.from('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}');
const length = Buffer.alloc(8);
length.writeBigUInt64LE(BigInt(header.length));
const weights = fileOf(Buffer.concat([length, header]), 'none.safetensors');

export async function fuzz(data: Buffer): Promise<void> {
  const config = fileOf(data.subarray(1), (data[0] ?? 0) % 4 === 0 ? 'config.yaml' : 'config.json');
  await takenOrRefused(async () => {
    const folder = await readModelFolder(weights, { config });
    const { unet } = await folder.select(null);
    const graph = unetGraph(unet);
    const costs = [parameterCount(graph), multiplyAdds(graph)];
    if (!costs.every((cost) => cost > 0)) throw new Error(`costs ${costs.join(', ')}`);
  });
}
