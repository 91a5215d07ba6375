// A model written in JavaScript: the exact noise prediction for data N(0, 0.25), sampled with DDIM.
//
//   node examples/own-model.mjs
import { NoiseSchedule, runProgram, samplers } from 'dpm-native';

const schedule = NoiseSchedule.linear({ networkTime: 'index1' });
const variance = 0.25;

const images = await runProgram(samplers.ddim(schedule, { steps: 50 }), {
  shape: [16, 1, 32, 32],
  seed: 1,
  model(x, n) {
    const noise = schedule.betaBar(n);
    const slope = Math.sqrt(noise) / (schedule.alphaBar(n) * variance + noise);
    return x.map((value) => slope * value);
  },
});

const power = images.reduce((sum, value) => sum + value * value, 0) / images.length;
console.log(`variance of the samples: ${power.toFixed(4)}, of the data: ${variance}`);
