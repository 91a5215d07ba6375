// Imported before anything asks for devices, makes `cuda` the emulated device of test/cuda, unless $DPM_CUDA_PLUGIN
// names another one.
import { existsSync } from 'node:fs';

import { packagePath } from './temporary.js';

const plugin = packagePath('build/cmake/Release/emulated/libdpm_cuda_emulated.so');
if (!existsSync(plugin)) throw new Error(`${plugin} is missing: npm run test:native builds it`);
process.env.DPM_CUDA_PLUGIN ??= plugin;
