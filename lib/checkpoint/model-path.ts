import { stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { suggestion } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { isThere, readText } from '../files/files.js';
import { pathOf } from '../files/paths.js';

/**
 * The models that this package brings, by the names that `DiffusionModel.load` takes, of the classifiers `Classifier.load`, and of
 * `emoji`, which draws from words, `TextToImage.load`.
 */
export const bundledModels = [
  'mnist',
  'mnist-classifier',
  'mnist-domains',
  'fashion-mnist',
  'fashion-mnist-classifier',
  'emoji',
] as const;

const modelsFolder = join(dirname(fileURLToPath(import.meta.url)), '../../models');

/** Pattern of `OWNER/NAME` on the Hugging Face hub. */
const hubName = /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/;

/** Maximum size in bytes of a file that names a revision. */
const REVISION_LIMIT = 256;

/** A variable of the environment; an empty one is as good as none. */
function variable(name: string): string | undefined {
  return process.env[name] === '' ? undefined : process.env[name];
}

/** Finds the folder of the hub's own downloads (huggingface_hub, `HF_HUB_CACHE`). */
function hubCache(): string {
  const cache = variable('XDG_CACHE_HOME') ?? join(homedir(), '.cache');
  return variable('HF_HUB_CACHE') ?? join(variable('HF_HOME') ?? join(cache, 'huggingface'), 'hub');
}

/** Finds the downloaded files of a model of the hub, in the revision `main`; null if there are none. */
async function cachedModel(name: string): Promise<string | null> {
  const folder = join(hubCache(), `models--${name.replace('/', '--')}`);
  const reference = join(folder, 'refs', 'main');
  if (!(await isThere(reference))) return null;
  const revision = (await readText(reference, REVISION_LIMIT)).trim();
  if (!/^[\w.-]+$/.test(revision) || revision.startsWith('.')) return null;
  const snapshot = join(folder, 'snapshots', revision);
  return (await isThere(snapshot)) ? snapshot : null;
}

function notThere(name: string): DpmError {
  const bundled = bundledModels.join(', ');
  return new DpmError(
    'ERR_DPM_FILE',
    hubName.test(name)
      ? `there is no file or folder ${name}, and no model ${name} in the Hugging Face cache ${hubCache()}; if it is a model of the hub, download it: hf download ${name}`
      : `there is no file or folder ${name.slice(0, 500)}${suggestion(name, bundledModels)}; models that this package brings: ${bundled}`,
  );
}

/**
 * Finds a model: the path itself, else the bundled model of that name, else the model of the Hugging Face hub that has been
 * downloaded to this machine.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a value that is no path, `ERR_DPM_FILE` if there is no such model, with the
 * way to download one of the hub.
 */
export async function modelPath(given: string | URL): Promise<string> {
  const value = pathOf('the model', given, 'a path, a file URL or the name of a model');
  if (given instanceof URL) return value;
  const there = await stat(value).then(
    () => true,
    (error: unknown) => !['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? ''),
  );
  if (there) return value;
  const bundled = bundledModels.find((name) => name === value);
  if (bundled !== undefined) return join(modelsFolder, bundled);
  const cached = hubName.test(value) ? await cachedModel(value) : null;
  if (cached !== null) return cached;
  throw notThere(value);
}
