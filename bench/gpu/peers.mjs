// The engines in which an evaluation is timed: the usual ones, or those that PyTorch takes minutes to tune.
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Arm } from './arm.mjs';
import { packagePath, settings } from './settings.mjs';

const { python } = settings;

function ownArm(name, options, script = 'own-arm.mjs') {
  // Measurements are kept apart from those of the user's own programs.
  const environment = { XDG_CACHE_HOME: join(tmpdir(), 'dpm-gpu-check-cache') };
  const parameters = [packagePath(`bench/gpu/${script}`), JSON.stringify(options)];
  return Object.assign(new Arm(name, process.execPath, parameters, environment), { isOwn: true, compiles: false });
}

function peerArm(name, mode, script = 'torch_peers.py') {
  const arm = new Arm(name, python.command, [packagePath(`bench/gpu/${script}`), '--mode', mode]);
  return Object.assign(arm, { isOwn: false, compiles: mode !== 'eager' && mode !== 'graph' });
}

const plain = () => ownArm('dpm-native bf16', { dtype: 'bf16', autotune: false });

const own = {
  usual: () => [plain(), ownArm('dpm-native bf16, autotuned', { dtype: 'bf16', autotune: true })],
  tuned: () => [plain()],
};
const peers = {
  usual: () => [
    peerArm('PyTorch eager bf16, channels last', 'eager'),
    peerArm('PyTorch eager bf16, channels last, in a CUDA graph', 'graph'),
    peerArm('PyTorch compiled bf16, reduce-overhead', 'reduce-overhead'),
  ],
  tuned: () => [peerArm('PyTorch compiled bf16, max-autotune', 'max-autotune')],
};

const hasPeers = () => python?.torch != null;

/** The arms of 'usual' or 'tuned' comparisons (`which`). Without PyTorch there are no peers. */
export const armsFor = (which) => [...own[which](), ...(hasPeers() ? peers[which]() : [])];

/** The arms of a step of training. */
export const trainingArms = () => [
  ownArm('dpm-native tf32', { tf32: true }, 'own-training-arm.mjs'),
  ...(hasPeers()
    ? [
        peerArm('PyTorch eager tf32, channels last', 'eager', 'torch_training.py'),
        peerArm('PyTorch compiled tf32, channels last', 'compiled', 'torch_training.py'),
      ]
    : []),
];
