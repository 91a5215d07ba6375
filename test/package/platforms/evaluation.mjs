// The network of test/native/devices/cpu/evaluation_bits_test.cc, evaluated by the addon, and the noise of update_test.cc.

const BATCH = 2;
const IMAGE = 100;

const fractions = (which, count) =>
  Float32Array.from({ length: count }, (_, i) => (((i * 37 + which * 101) % 64) - 32) / 128);

/** FNV-1a of the bytes, as in the native test. */
function bitsOf(values) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new Uint8Array(values.buffer)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return `0x${hash.toString(16).toUpperCase().padStart(16, '0')}`;
}

/** @param dist - The folder of the package's modules, whose inner parts this uses. */
export async function evaluationBits(dist) {
  const { GraphBuilder } = await import(new URL('network/graph.js', dist));
  const { native } = await import(new URL('engine/addon.js', dist));
  const builder = new GraphBuilder();
  let constants = 0;
  const given = (...shape) => {
    const which = constants++;
    return builder.given(
      `constant ${which}`,
      shape,
      fractions(
        which,
        shape.reduce((a, b) => a * b),
      ),
    );
  };
  const channels = (value) => builder.value(value).channels;
  const convolution = (x, outputs, kernel) => {
    const padding = (kernel - 1) / 2;
    const how = { op: 'convolution', kernel, stride: 1, padBefore: padding, padAfter: padding };
    return builder.add(how, 'convolution', [x], { weights: [given(outputs, channels(x), kernel, kernel)] });
  };
  const bias = (x) => builder.add({ op: 'bias' }, 'bias', [x], { biases: [given(channels(x))] });
  const norm = (x) =>
    builder.add({ op: 'group_norm', groups: 4, epsilon: 1e-5 }, 'norm', [x], {
      weights: [given(channels(x))],
      biases: [given(channels(x))],
    });

  let x = builder.input('image', { channels: 8, height: 8, width: 8 });
  x = builder.add({ op: 'silu' }, 'silu', [norm(bias(convolution(x, 16, 3)))]);
  const [query, key, value] = [convolution(x, 16, 1), convolution(x, 16, 1), convolution(x, 16, 1)];
  const attended = builder.add({ op: 'attention', heads: 2 }, 'attention', [query, key, value]);
  builder.output('output', bias(convolution(builder.add({ op: 'add' }, 'sum', [attended, x]), 8, 3)));

  const { Engine } = native();
  const engine = new Engine({
    ...{ device: 'cpu', dtype: 'f32', threads: 1 },
    exact: false,
    tf32: false,
    autotune: false,
  });
  const network = await engine.loadNetwork({ ...builder.build(), files: [] }, { classes: 0, divisor: null });
  const out = new Float32Array(BATCH * 8 * 8 * 8);
  await network.forward(BATCH, fractions(IMAGE, out.length), Float32Array.of(1, 1), null, out, null);
  await engine.close();
  return bitsOf(out);
}

/** @param dist - As of evaluationBits(). */
export async function noiseBits(dist) {
  const { Device } = await import(new URL('engine/device.js', dist));
  const { normals } = await import(new URL('engine/normals.js', dist));
  const device = Device.open({ device: 'cpu' });
  const streams = [
    { seed: 0x0123456789abcdefn, sampleIndex: 2, record: 3, draw: 0 },
    { seed: 0x80000000ffffffffn, sampleIndex: 0x7fffffff, record: 0xffffffff, draw: 5 },
  ];
  try {
    return bitsOf(await normals(device, [1003], streams));
  } finally {
    await device.close();
  }
}
