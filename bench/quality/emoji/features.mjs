// Features of pictures: the means over places of the middle maps of the judge of emoji, the folder of --features-model.
import { Classifier } from '../../../dist/index.js';
import { reduced } from './judges.mjs';

export const name = 'emoji-judge';

export async function open({ model }) {
  const classifier = await Classifier.load(model, { device: 'cpu' });
  const network = await classifier.features();
  const dimension = network.info.outChannels;
  return {
    dimension,
    async features(levels, shape) {
      const values = Float32Array.from(levels, (level) => level / 127.5 - 1);
      const { out } = await network.forward(reduced(values, shape, classifier.sampleShape[2]), 0);
      const places = out.length / shape[0] / dimension;
      return Float64Array.from({ length: shape[0] * dimension }, (_, i) => {
        const map = out.subarray(i * places, (i + 1) * places);
        return map.reduce((sum, value) => sum + value, 0) / places;
      });
    },
    close: () => classifier.close(),
  };
}
