// An engine that runs in a Python process of its own (serve.py).
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { EngineProcess } from './engine-process.mjs';

const packages = fileURLToPath(new URL('../../.toolchain/peers', import.meta.url));
const script = fileURLToPath(new URL('serve.py', import.meta.url));

/** Tells whether `scripts/setup --peers` has installed a package. */
export const isInstalled = (name) => existsSync(join(packages, name));

export function requireInstalled(...names) {
  const missing = names.find((name) => !isInstalled(name));
  if (missing !== undefined) throw new Error(`there is no ${missing}, which scripts/setup --peers installs`);
}

export class PythonArm extends EngineProcess {
  constructor(name, dtype, request) {
    const env = { PYTHONPATH: packages, HF_HUB_OFFLINE: '1' };
    super(name, { dtype, ...request }, { program: 'python3', args: [script], env, errors: 'ignore' });
    this.dtype = dtype;
  }

  /**
   * Runs one evaluation, the work that is timed from now on. Engines of derivatives take a `vector` shaped as `x` or as `vectorShape`
   * says, and `work`, its use.
   */
  async check(folder, x, t, shape, { vector, vectorShape, work } = {}) {
    const inputs = { x, t, ...(vector !== undefined && { vector }) };
    const files = Object.fromEntries(Object.keys(inputs).map((name) => [name, join(folder, `${name}.bin`)]));
    for (const [name, values] of Object.entries(inputs)) writeFileSync(files[name], values);
    const outFile = join(folder, 'out.bin');
    await this.ask({ op: 'check', ...files, shape, vectorShape, out: outFile, work });
    return new Float32Array(Uint8Array.from(readFileSync(outFile)).buffer);
  }
}
