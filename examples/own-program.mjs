// A sampler of your own as a step program, run on the bundled model: DDIM whose direction averages the last two predictions.
//
//   node examples/own-program.mjs
import { DiffusionModel, discreteTransitions, jump, linear, stepProgram, stepRecord } from 'dpm-native';

function smoothedDdim(schedule, steps) {
  const records = discreteTransitions(schedule, { steps }).map((transition, index) => {
    const { alphaT, sigmaT, alphaS, direction, t } = jump(schedule, transition, 0);
    const own = index % 2;
    const history = [0, 0];
    history[own] = direction * (index === 0 ? 1 : 1.5);
    history[1 - own] = index === 0 ? 0 : -0.5 * direction;
    // The ring keeps noise predictions (x - alpha x0) / sigma; the state is rebuilt from the newest one.
    history[own] -= (alphaS * sigmaT) / alphaT;
    return stepRecord({
      time: schedule.networkTime(t),
      prediction: { input: 1 / alphaT, output: -sigmaT / alphaT },
      store: { slot: own, input: 1 / sigmaT, data: -alphaT / sigmaT },
      x: linear({ x: alphaS / alphaT, history }),
    });
  });
  return stepProgram(records, { history: 2 });
}

const model = await DiffusionModel.load('mnist');
try {
  const { images } = await model.run(smoothedDdim(model.schedule, 20), { count: 4, seed: 1 });
  console.log(`samples of shape ${images.shape.join(' x ')}, ${images.toUint8().length} grey levels`);
} finally {
  await model.close();
}
