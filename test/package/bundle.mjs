// Bundles a program with one of the bundlers of today, as their documents say for packages with native code, or for a
// browser.
//
//   node bundle.mjs esbuild|webpack|vite|browser PROGRAM FILE
import { basename, dirname, resolve } from 'node:path';
import { promisify } from 'node:util';

const [tool, program, file] = process.argv
  .slice(2)
  .map((argument, index) => (index === 0 ? argument : resolve(argument)));

const bundlers = {
  async esbuild() {
    const { build } = await import('esbuild');
    await build({
      ...{ entryPoints: [program], outfile: file, bundle: true, platform: 'node', format: 'esm' },
      external: ['dpm-native'],
    });
  },
  async webpack() {
    const { default: webpack } = await import('webpack');
    const stats = await promisify(webpack)({
      ...{ mode: 'production', target: 'node', entry: program, experiments: { outputModule: true } },
      output: { path: dirname(file), filename: basename(file), module: true },
      externals: { 'dpm-native': 'module dpm-native' },
    });
    if (stats.hasErrors()) throw new Error(stats.toString());
  },
  // Leaves packages out of bundles for servers by itself.
  async vite() {
    const { build } = await import('vite');
    await build({
      ...{ root: dirname(program), configFile: false, logLevel: 'warn' },
      build: {
        ssr: program,
        outDir: dirname(file),
        rollupOptions: { output: { entryFileNames: basename(file) } },
      },
    });
  },
  async browser() {
    const { build } = await import('esbuild');
    await build({
      entryPoints: [program],
      outfile: file,
      bundle: true,
      platform: 'browser',
      format: 'esm',
      external: ['node:*'],
    });
  },
};

await bundlers[tool]();
