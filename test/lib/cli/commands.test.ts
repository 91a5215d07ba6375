import { spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';

import { describe, expect, it } from 'vitest';

import { readModelFolder } from '../../../lib/checkpoint/read-model.js';
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';
import type { NativeNode } from '../../../lib/engine/native-node.js';
import { withStreams } from '../../../lib/cli/output.js';
import { runCommandLine } from '../../../lib/cli/run.js';
import { DiffusionModel } from '../../../lib/model.js';
import { unetGraph } from '../../../lib/network/unet.js';
import { commandNames, dpm, dpmMain } from '../../support/dpm.js';
import { fileTensors, writeFileTensors } from '../../support/file-tensors.js';
import { maxDifference } from '../../support/golden.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const mnist = packagePath('models/mnist');
const neverInterrupted = (): AbortSignal => new AbortController().signal;
const temporary = (name: string): string => join(folder, name);

describe('help', () => {
  it('is there for every command', async () => {
    const { code, stdout } = await dpm('--help');
    expect(code).toBe(0);
    for (const command of commandNames) {
      expect(stdout).toContain(`  ${command}`);
      const help = await dpm(command, '--help');
      expect(help.code).toBe(0);
      expect(help.stdout).toMatch(/--json/);
    }
  });

  it('has lines that a terminal shows whole, of any width', async () => {
    const helpOf = async (command: string, columns?: number): Promise<string> => {
      const stdout = Object.assign(new PassThrough(), { columns });
      expect(
        await withStreams({ stdout, stderr: stdout }, () => runCommandLine([command, '--help'], neverInterrupted)),
      ).toBe(0);
      return String(stdout.read());
    };
    const longest = (text: string): number => Math.max(...text.split('\n').map((line) => line.length));
    for (const command of commandNames) expect(longest(await helpOf(command)), command).toBeLessThanOrEqual(80);
    expect(longest(await helpOf('sample', 60))).toBeLessThanOrEqual(72);
    expect(longest(await helpOf('sample', 200))).toBeGreaterThan(150);
  });

  it('has its options in groups', async () => {
    const { stdout } = await dpm('sample', '--help');
    const headings = stdout.split('\n').filter((line) => /^[A-Z].*:$/.test(line));
    expect(headings).toEqual([
      'What is drawn:',
      'Output:',
      'Guidance:',
      'Steps and times:',
      'Options of some samplers:',
      'Model:',
      'Device:',
      'Options:',
    ]);
    expect(stdout.split('\n\n').find((part) => part.startsWith('Output:'))).toMatch(/--out[^]*--scale[^]*--json/);
  });

  it('says first what to begin with', async () => {
    const { stdout } = await dpm();
    expect(stdout).toBe((await dpm('--help')).stdout);
    expect(stdout).toMatch(/^Usage: dpm COMMAND \[options\]\n\nBegin with:\n {2}dpm generate emoji/);
    for (const [, command] of stdout.matchAll(/^ {2}dpm (\w+)/gm)) expect((await dpm(command!, '--help')).code).toBe(0);
  });
});

describe('what reaches the terminal', () => {
  it('is one line without control characters', async () => {
    const { stderr } = await dpm('inspect', 'no\u001b[31msuch\u202emodel\nat all');
    expect(stderr).toMatch(/^error \[ERR_DPM_FILE\]: .*no\\u\{1b\}\[31msuch\\u\{202e\}model\\u\{a\}at all.*\n$/);
  });

  it('is no text of a foreign file', async () => {
    const path = join(folder, 'secret.json');
    writeFileSync(path, 'password: hunter2\n');
    const { stderr } = await dpm('inspect', join(mnist, 'unet/diffusion_pytorch_model.safetensors'), '--config', path);
    expect(stderr).toMatch(/secret\.json is not JSON: Unexpected token 'p'\n$/);
  });

  it.skipIf(!existsSync('/dev/full'))('says that the standard output cannot be written', async () => {
    const full = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, [dpmMain, 'devices'], { stdio: ['ignore', full, 'pipe'] });
    const written: Buffer[] = [];
    child.stderr!.on('data', (part: Buffer) => written.push(part));
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(Buffer.concat(written).toString()).toMatch(
      /^error \[ERR_DPM_FILE\]: cannot write to the standard output: .*\n$/,
    );
    expect(code).toBe(1);
  });
});

describe('samples of a class', () => {
  it('are guided away from no class at all, and have their class below', async () => {
    const [model, out] = [packagePath('test/fixtures/unet/diffusers-adm'), temporary('class.png')];
    const guided = ['--class', '3', '--guidance', '2', '--unconditional-label', 'none'];
    const picture = ['--labels', '--scale', '2', '--out', out];
    const { code } = await dpm(
      ...['sample', model, '--device', 'cpu', '--sampler', 'ddim', '--steps', '2', '--count', '2'],
      ...guided,
      ...picture,
    );
    expect(code).toBe(0);
    await using loaded = await DiffusionModel.load(model, { device: 'cpu' });
    const options = { classLabels: 3, guidance: 2, unconditionalLabel: null, format: 'uint8' } as const;
    const { images } = await loaded.sample({ sampler: 'ddim', steps: 2, count: 2, ...options });
    expect(readFileSync(out)).toEqual(Buffer.from(images.toPng({ scale: 2, labels: [3, 3] })));
  });
});

describe('ways to the help', () => {
  it('are all the same', async () => {
    const { stdout } = await dpm('sample', '--help');
    expect((await dpm('sample', '-h')).stdout).toBe(stdout);
    expect((await dpm('help', 'sample')).stdout).toBe(stdout);
    expect((await dpm('help', 'plot', 'strip')).stdout).toBe((await dpm('plot', 'strip', '--help')).stdout);
    expect((await dpm('plot', '-h')).stdout).toBe((await dpm('plot', '--help')).stdout);
    expect((await dpm('-h')).stdout).toBe((await dpm('--help')).stdout);
  });

  it('and to the version', async () => {
    const { version } = JSON.parse(readFileSync(packagePath('package.json'), 'utf8')) as { version: string };
    for (const flag of ['--version', '-v'])
      expect(await dpm(flag)).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it.each([
    [['sampel'], /'sampel' is not a command \(did you mean 'sample'\?\); commands: sample, generate/],
    [['plot', 'strips'], /'strips' is not something to plot \(did you mean 'strip'\?\); use one of/],
    [
      ['sample', 'm', '--sampeler', 'ddim'],
      /there is no option --sampeler \(did you mean '--sampler'\?\) \(dpm sample --help/,
    ],
    [['sample', 'm', '--zzzzz'], /there is no option --zzzzz \(dpm sample --help lists the options\)/],
  ])('%j', async (args, message) => {
    const { code, stderr } = await dpm(...args);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});

describe('dpm devices', () => {
  it('lists devices for people and machines', async () => {
    expect((await dpm('devices')).stdout).toMatch(/^cpu\s+usable/m);
    const listed = JSON.parse((await dpm('devices', '--json')).stdout) as { name: string }[];
    expect(listed.map(({ name }) => name)).toContain('reference');
  });
});

describe('dpm inspect', () => {
  it('describes the bundled model', async () => {
    const { stdout } = await dpm('inspect', mnist, '--head', 'sn', '--device', 'cpu', '--json');
    const facts = JSON.parse(stdout) as { parameters: number };
    expect(facts).toMatchObject({
      family: 'diffusers',
      image: [1, 28, 28],
      heads: ['npr', 'sn', 'ocm'],
      gamma: true,
      missing: [],
      unused: [],
    });
    expect(facts.parameters).toBeGreaterThan(649_329);
  });

  it('names up to fifty tensors that a model does not use', async () => {
    const path = temporary('unused');
    await cp(mnist, path, { recursive: true });
    const file = join(path, 'unet/diffusion_pytorch_model.safetensors');
    const tensors = await fileTensors(file);
    const extra = Array.from({ length: 51 }, (_, i) => `extra.${i}`);
    const scalar = { dtype: 'F32', shape: [1], bytes: new Uint8Array(4) } as const;
    const unusedWith = async (count: number): Promise<string | undefined> => {
      await writeFileTensors(
        file,
        new Map([...tensors, ...extra.slice(0, count).map((name) => [name, scalar] as const)]),
      );
      const { stdout } = await dpm('inspect', path, '--device', 'cpu');
      return /^unused tensors: (.*)$/m.exec(stdout)?.[1];
    };
    expect((await unusedWith(50))?.split(', ').sort()).toEqual(extra.slice(0, 50).sort());
    expect(await unusedWith(51)).toMatch(/^(?:extra\.\d+(?:, | and )){50}1 more$/);
    expect(await unusedWith(0)).toBe('none');
  });

  it('takes the size of the images', async () => {
    const image = async (...size: string[]): Promise<unknown> => {
      const { stdout, stderr } = await dpm('inspect', mnist, '--device', 'cpu', '--json', '--image-size', ...size);
      return stderr === '' ? (JSON.parse(stdout) as { image: unknown }).image : stderr;
    };
    expect(await image('32')).toEqual([1, 32, 32]);
    expect(await image('32,20')).toEqual([1, 32, 20]);
    expect(await image('32,20,1')).toMatch(/--image-size is '32,20,1', it has to be H or H,W/);
    expect(await image('30')).toMatch(/imageSize is 30, it has to be divisible by 4/);
  });
});

describe('dpm graph', () => {
  interface Dump {
    nodes: { op: string; name: string }[];
  }
  const nodesOf = async (device: string): Promise<string[]> => {
    const { stdout } = await dpm('graph', mnist, '--device', device, '--json');
    return (JSON.parse(stdout) as Dump).nodes.map(({ op }) => op);
  };

  it('prints what a device has fused, and the graph as it was written', async () => {
    const [fused, written] = [await nodesOf('cpu'), await nodesOf('reference')];
    const graph = unetGraph((await (await readModelFolder(mnist)).select(null)).unet);
    expect(written).toEqual(graph.nodes.map(({ op }) => op));
    expect(fused.length).toBeLessThan(written.length / 2);
    expect(fused).not.toContain('bias');
  });

  it('draws it', async () => {
    const { stdout } = await dpm('graph', mnist, '--device', 'cpu');
    expect(stdout).toMatch(/^digraph/);
    expect(stdout).toContain('conv_in');
  });

  it('says what every node reads and has of its own', async () => {
    const { stdout } = await dpm('graph', mnist, '--device', 'reference', '--json');
    const { nodes } = JSON.parse(stdout) as { nodes: NativeNode[] };
    const graph = unetGraph((await (await readModelFolder(mnist)).select(null)).unet);
    const stored = (value: unknown): unknown => (typeof value === 'number' ? Math.fround(value) : value);
    const namesOf = (indices: readonly number[]): string[] => indices.map((index) => graph.constants[index]!.name);
    graph.nodes.forEach(({ name, inputs, outputs, weights, biases, ...own }, i) => {
      const node = nodes[i]!;
      const attributes = Object.fromEntries(Object.entries(own).map(([key, value]) => [key, stored(value)]));
      expect(node).toMatchObject({ ...attributes, name, weights: namesOf(weights), biases: namesOf(biases) });
      expect(node.inputs.slice(0, inputs.length).map((map) => map?.value)).toEqual(inputs);
      expect(node.output.value).toBe(outputs[0]);
    });
  });
});

describe('dpm forward', () => {
  it.each(['diffusers-ddpm', 'diffusers-adm'])('%s', async (name) => {
    const fixture = packagePath(`test/fixtures/unet/${name}`);
    const output = temporary(`${name}.safetensors`);
    const { code, stderr } = await dpm(
      'forward',
      fixture,
      '--device',
      'cpu',
      '--exact',
      '--input',
      join(fixture, 'input.safetensors'),
      '--output',
      output,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { data } = await readFloats(await readSafetensorsHeader(output), 'out');
    const expected = await readFloats(await readSafetensorsHeader(join(fixture, 'expected.safetensors')), 'out');
    expect(maxDifference(data, expected.data)).toBeLessThan(2e-5 * Math.max(1, ...expected.data.map(Math.abs)));
  });

  it('writes the head', async () => {
    const input = temporary('input.safetensors');
    const { writeSafetensors } = await import('../../../lib/files/tensor-data.js');
    const x = { shape: [2, 1, 28, 28], data: new Float32Array(2 * 784) };
    await writeSafetensors(input, { x, t: { shape: [2], data: BigInt64Array.of(1n, 500n) } });
    const output = temporary('head.safetensors');
    expect(
      (await dpm('forward', mnist, '--head', 'npr', '--device', 'cpu', '--input', input, '--output', output)).code,
    ).toBe(0);
    expect((await readSafetensorsHeader(output)).tensors.get('head')?.shape).toEqual([2, 1, 28, 28]);
  });
});

describe('dpm forward --component', () => {
  const latent = packagePath('test/fixtures/latent');
  const golden = (model: string, name: string): string => join(latent, model, 'golden', `${name}.safetensors`);

  it.each([
    ['vae-decoder', 'sd2', 'vae', { decoded: 'decoded' }],
    ['vae-encoder', 'sd2', 'vae', { mean: 'mean', logvar: 'logvar' }],
    ['text', 'sdxl', 'text', { last_hidden_state: 'last_hidden_state', pooled: 'pooled' }],
  ] as const)('evaluates %s of a pipeline', async (component, model, file, names) => {
    const output = temporary(`${component}.safetensors`);
    const input = golden(model, file);
    const files = ['--input', input, '--output', output, '--device', 'cpu', '--component', component];
    const { code, stderr } = await dpm('forward', join(latent, model), ...files);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const [own, theirs] of Object.entries(names)) {
      const { data, shape } = await readFloats(await readSafetensorsHeader(output), own);
      const expected = await readFloats(await readSafetensorsHeader(input), theirs);
      expect(shape).toEqual(expected.shape);
      expect(maxDifference(data, expected.data)).toBeLessThan(5e-5 * Math.max(...expected.data.map(Math.abs)));
    }
  });

  it('takes the second encoder, and a folder of the network alone', async () => {
    const ids = BigInt64Array.from({ length: 77 }, (_, i) => BigInt(i));
    const input = temporary('ids.safetensors');
    const { writeSafetensors } = await import('../../../lib/files/tensor-data.js');
    await writeSafetensors(input, { input_ids: { shape: [1, 77], data: ids } });
    const evaluated = async (place: string, component: string): Promise<Buffer> => {
      const output = temporary('states.safetensors');
      const files = ['--input', input, '--output', output, '--device', 'cpu', '--component', component];
      expect((await dpm('forward', join(latent, place), ...files)).stderr).toBe('');
      return readFileSync(output);
    };
    const second = await evaluated('sdxl', 'text-2');
    expect(await evaluated('sdxl/text_encoder_2', 'text')).toEqual(second);
    expect(await evaluated('sdxl', 'text')).not.toEqual(second);
  });

  it('refuses what is no component, and tensors that are none', async () => {
    const files = ['--input', golden('sd1', 'text'), '--output', temporary('x.safetensors'), '--device', 'cpu'];
    const answer = (component: string): Promise<{ stderr: string }> =>
      dpm('forward', join(latent, 'sd1'), ...files, '--component', component);
    expect((await answer('prior')).stderr).toContain('--component');
    expect((await answer('vae-decoder')).stderr).toContain("'latents'");
  });
});

describe('dpm gamma', () => {
  it('writes a table that dpm sample takes', async () => {
    const data = temporary('digits.safetensors');
    const table = temporary('gamma.json');
    await dpm('sample', mnist, '--device', 'cpu', '--steps', '5', '--count', '4', '--out', data);
    const run = await dpm(
      'gamma',
      mnist,
      '--device',
      'cpu',
      '--data',
      data,
      '--samples',
      '4',
      '--timesteps',
      '1,500,1000',
      '--out',
      table,
    );
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect((JSON.parse(readFileSync(table, 'utf8')) as { m: number[] }).m).toHaveLength(1001);
    const sampled = await dpm(
      'sample',
      mnist,
      '--device',
      'cpu',
      '--sampler',
      'analytic-ddpm',
      '--steps',
      '2',
      '--gamma',
      table,
      '--out',
      temporary('a.png'),
    );
    expect(sampled.code).toBe(0);
  });
});
