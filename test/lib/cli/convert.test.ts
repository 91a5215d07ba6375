// dpm convert: checkpoints as folders with safetensors.
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { dpm } from '../../support/dpm.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const mnist = packagePath('models/mnist');
const temporary = (name: string): string => join(folder, name);

describe('dpm convert', () => {
  it('changes no bit of what PyTorch wrote', async () => {
    const fixture = packagePath('test/fixtures/unet/ho-ddpm');
    const config = ['--config', join(fixture, 'config.json')];
    const converted = temporary('converted');
    const { code, stdout } = await dpm('convert', `${fixture}.pth`, ...config, '--to', converted, '--json');
    expect({ code, written: JSON.parse(stdout) as unknown }).toMatchObject({
      code: 0,
      written: { parameters: 702_499 },
    });
    const evaluated = async (model: string, name: string, ...options: string[]): Promise<Buffer> => {
      const files = ['--input', join(fixture, 'input.safetensors'), '--output', temporary(name)];
      expect((await dpm('forward', model, '--device', 'cpu', ...files, ...options)).stderr).toBe('');
      return readFileSync(temporary(name));
    };
    const expected = await evaluated(fixture, 'own.safetensors');
    expect(await evaluated(converted, 'again.safetensors')).toEqual(expected);
    expect(await evaluated(`${fixture}.pth`, 'file.safetensors', ...config)).toEqual(expected);
    expect((await dpm('inspect', converted, '--device', 'cpu')).stdout).toMatch(
      /^family +ho .*temb\.dense\.0\.weight/m,
    );
    expect((await dpm('convert', `${fixture}.pth`, ...config, '--to', converted)).stderr).toMatch(/it exists/);
  });

  it('writes weights in the type that it is asked for', async () => {
    const fixture = packagePath('test/fixtures/unet/ho-ddpm');
    const bytesAs = async (dtype: string): Promise<number> => {
      const to = temporary(`converted-${dtype}`);
      const args = ['convert', fixture, '--to', to, '--dtype', dtype, '--json'];
      return (JSON.parse((await dpm(...args)).stdout) as { bytes: number }).bytes;
    };
    const [whole, half] = [await bytesAs('f32'), await bytesAs('f16')];
    expect(half).toBeGreaterThan(0);
    expect(half / whole).toBeCloseTo(0.5, 3);
  });

  it('reads a configuration that says no size of images', async () => {
    const sizeless = temporary('sizeless');
    cpSync(mnist, sizeless, { recursive: true });
    const path = join(sizeless, 'unet', 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ ...config, sample_size: null }));
    expect((await dpm('convert', sizeless, '--to', temporary('none'))).stderr).toMatch(/give imageSize/);
    expect((await dpm('convert', sizeless, '--image-size', '28', '--to', temporary('sized'))).stderr).toBe('');
  });
});
