// The folder of a run that is killed at every point, on a machine that crashes, on a full disk.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join, relative } from 'node:path';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { DpmError } from '../../../../lib/base/errors.js';
import { readLosses } from '../../../../lib/training/metrics.js';
import { systemDisk, type Disk } from '../../../../lib/training/run-folder/disk.js';
import { RunFolder } from '../../../../lib/training/run-folder/run-folder.js';
import { packagePath } from '../../../support/temporary.js';
import {
  fresh,
  options,
  checkpoint,
  digest,
  metrics,
  trained,
  checkpointsOf,
  modelOf,
  biasOf,
} from '../../../support/trained-folder.js';

/** A disk that fails at one of its calls; a kill also at every later one, and with half of a file written. */
class FailingDisk implements Disk {
  calls = 0;
  #dead = false;

  constructor(
    private at: number,
    private readonly kind: 'kill' | 'full',
  ) {}

  heal(): void {
    this.at = Infinity;
  }

  #fails(): boolean {
    if (this.#dead) throw new Error('killed');
    return this.calls++ === this.at;
  }

  #fail(): never {
    if (this.kind === 'full') throw new DpmError('ERR_DPM_FILE', 'cannot write: ENOSPC: no space left on device');
    this.#dead = true;
    throw new Error('killed');
  }

  async makeFolder(path: string): Promise<void> {
    if (this.#fails()) this.#fail();
    await systemDisk.makeFolder(path);
  }

  async write(...[path, parts]: Parameters<Disk['write']>): Promise<void> {
    if (this.#fails()) {
      if (this.kind === 'kill') {
        const all: Buffer[] = [];
        for await (const part of parts) all.push(Buffer.from(part));
        const whole = Buffer.concat(all);
        writeFileSync(join(path, '..', '.dpm-0123456789ab.tmp'), whole.subarray(0, whole.length / 2));
      }
      this.#fail();
    }
    await systemDisk.write(path, parts);
  }

  async rename(from: string, to: string): Promise<void> {
    if (this.#fails()) this.#fail();
    await systemDisk.rename(from, to);
  }

  async remove(path: string): Promise<void> {
    // A full disk can remove.
    if (this.#fails() && this.kind === 'kill') {
      if (existsSync(path) && statSync(path).isDirectory()) {
        const [first] = readdirSync(path);
        if (first !== undefined) rmSync(join(path, first));
      }
      this.#fail();
    }
    await systemDisk.remove(path);
  }

  async sync(path: string): Promise<void> {
    if (this.#fails() && this.kind === 'kill') this.#fail();
    await systemDisk.sync(path);
  }
}

let prepared: Promise<string> | undefined;

/** A run with two checkpoints, made once. */
async function withTwo(): Promise<string> {
  prepared ??= (async () => {
    const path = fresh();
    await trained(path, 2, 4);
    return path;
  })();
  const path = fresh();
  cpSync(await prepared, path, { recursive: true });
  return path;
}

/** Models that a folder may have whose checkpoint of step 6 was begun: that of step 6 only behind its checkpoint. */
function modelsOf(path: string): number[] {
  return checkpointsOf(path).includes('step-6') ? [biasOf(4), biasOf(6)] : [biasOf(4)];
}

/** Lists files that no run may leave. */
function unfinished(path: string): string[] {
  return (readdirSync(path, { recursive: true }) as string[]).filter((name) => name.endsWith('.tmp'));
}

describe('a run that is killed', () => {
  it('while it begins can begin again', async () => {
    let calls = Infinity;
    for (let at = 0; at < calls; ++at) {
      const path = fresh();
      const disk = new FailingDisk(at, 'kill');
      const opened = await RunFolder.open(path, options, disk).catch(() => null);
      await opened?.close();
      if (opened !== null) calls = disk.calls;
      await trained(path, 1);
      expect(unfinished(path)).toEqual([]);
      expect(await modelOf(path)).toBe(biasOf(1));
    }
    expect(calls).toBeGreaterThan(6);
  });

  it('while it writes a checkpoint goes on from that or from the one before', async () => {
    const found = new Set<number>();
    let calls = Infinity;
    for (let at = 0; at < calls; ++at) {
      const path = await withTwo();
      const disk = new FailingDisk(at, 'kill');
      const run = await RunFolder.open(path, options, disk);
      for (const step of [5, 6]) await run.metrics.add(metrics(step));
      const done = await run.save(checkpoint(6)).then(
        () => true,
        () => false,
      );
      await run.close();
      if (done) calls = disk.calls;
      expect(modelsOf(path)).toContain(await modelOf(path));
      await using again = await RunFolder.open(path, options);
      expect(again.damaged).toEqual([]);
      const step = again.newest!.step;
      found.add(step);
      expect(await digest(again.newest)).toBe(await digest(checkpoint(step)));
      expect(await modelOf(path)).toBe(biasOf(step));
      expect((await readLosses(join(path, 'metrics.jsonl'))).at(-1)!.step).toBe(step);
      expect(unfinished(path)).toEqual([]);
      if (done) expect(checkpointsOf(path)).toEqual(['step-4', 'step-6']);
    }
    expect(found).toEqual(new Set([4, 6]));
    expect(calls).toBeGreaterThan(10);
  });
});

/** A disk that writes down what it does; parts of names that are drawn are left out. */
function recordingDisk(root: string, calls: string[]): Disk {
  const shown = (path: string): string =>
    (relative(root, path).replaceAll('\\', '/') || '.').replace(/\.[0-9a-f]{12}(?=\.tmp(?:\/|$))/, '');
  const tell = (call: string, ...paths: string[]): void => void calls.push([call, ...paths.map(shown)].join(' '));
  return {
    makeFolder: (path) => systemDisk.makeFolder(path),
    write(path, parts) {
      tell('write', path);
      return systemDisk.write(path, parts);
    },
    rename(from, to) {
      tell('rename', from, to);
      return systemDisk.rename(from, to);
    },
    remove(path) {
      tell('remove', path);
      return systemDisk.remove(path);
    },
    sync(path) {
      tell('sync', path);
      return systemDisk.sync(path);
    },
  };
}

describe('a crash of the machine', () => {
  it('finds the beginning of a run before run.json, and all names', async () => {
    const path = fresh();
    const calls: string[] = [];
    await (await RunFolder.open(path, options, recordingDisk(path, calls))).close();
    expect(calls).toEqual([
      'write unet/config.json',
      'write scheduler/scheduler_config.json',
      'write model_index.json',
      'write run.json',
      'sync .',
    ]);
  });

  it('finds metrics before their checkpoint, that before the model, and names before the next', async () => {
    const path = fresh();
    const calls: string[] = [];
    await using run = await RunFolder.open(path, { ...options, checkpointsKept: 1 }, recordingDisk(path, calls));
    const sync = run.metrics.sync.bind(run.metrics);
    vi.spyOn(run.metrics, 'sync').mockImplementation(() => {
      calls.push('sync metrics.jsonl');
      return sync();
    });
    await run.save(checkpoint(1));
    calls.length = 0;
    await run.save(checkpoint(2));
    const own = 'checkpoints/.step-2.tmp';
    expect(calls).toEqual([
      'sync metrics.jsonl',
      ...['parameters', 'first_moments', 'second_moments', 'average'].map((name) => `write ${own}/${name}.safetensors`),
      `write ${own}/state.json`,
      `sync ${own}`,
      `rename ${own} checkpoints/step-2`,
      'sync checkpoints',
      'write unet/diffusion_pytorch_model.safetensors',
      'sync unet',
      'rename checkpoints/step-1 checkpoints/.step-1.tmp',
      'remove checkpoints/.step-1.tmp',
    ]);
  });

  it('finds what is on the disk: files and metrics are synced, and folders where the system can', async () => {
    const path = fresh();
    mkdirSync(path);
    await using run = await RunFolder.open(fresh(), options);
    await using file = await open(join(path, 'any'), 'w');
    const sync = vi.spyOn(Object.getPrototypeOf(file) as FileHandle, 'sync');
    onTestFinished(() => {
      sync.mockRestore();
    });
    for (const work of [
      () => systemDisk.write(join(path, 'other'), ['a']),
      () => systemDisk.sync(path),
      () => run.metrics.sync(),
    ]) {
      sync.mockClear();
      await work();
      expect(sync).toHaveBeenCalledOnce();
    }
  });
});

describe('a full disk', () => {
  it('leaves the last checkpoint and the model whole, and no file behind', async () => {
    let calls = Infinity;
    let failures = 0;
    for (let at = 0; at < calls; ++at) {
      const path = await withTwo();
      const disk = new FailingDisk(at, 'full');
      await using run = await RunFolder.open(path, options, disk);
      const outcome = await run.save(checkpoint(6)).then(
        () => null,
        (error: unknown) => error,
      );
      calls = Math.min(calls, outcome === null && disk.calls <= at ? at : Infinity);
      if (outcome !== null) {
        ++failures;
        expect(outcome).toMatchObject({ code: 'ERR_DPM_FILE', message: expect.stringMatching(/ENOSPC/) as string });
      }
      expect(unfinished(path)).toEqual([]);
      expect(checkpointsOf(path)).toContain('step-4');
      expect(modelsOf(path)).toContain(await modelOf(path));
      // It can be tried again once there is room.
      disk.heal();
      await run.save(checkpoint(6));
      expect(await modelOf(path)).toBe(biasOf(6));
    }
    expect(failures).toBeGreaterThan(6);
  });

  it.skipIf(process.platform !== 'linux')('is told by what the system says', async () => {
    const path = fresh();
    await trained(path, 1);
    // A file may have no more than some blocks: writing fails as on a full disk, in the middle of a file.
    const script = `
      const { writeAtomically } = await import(${JSON.stringify(packagePath('dist/files/files.js'))});
      try { await writeAtomically(process.argv[1], [new Uint8Array(1 << 20), new Uint8Array(1 << 20)]); } catch (error) { console.log(error.code, error.message); }`;
    const target = join(path, 'large');
    const command = `ulimit -f 1024; exec ${process.execPath} --input-type=module -e "$SCRIPT" ${target}`;
    const { stdout } = spawnSync('bash', ['-c', command], {
      env: { ...process.env, SCRIPT: script },
      encoding: 'utf8',
    });
    expect(stdout).toMatch(/^ERR_DPM_FILE cannot write .*EFBIG/);
    expect(unfinished(path)).toEqual([]);
  });
});
