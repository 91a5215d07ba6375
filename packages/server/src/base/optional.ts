import { DpmError } from 'dpm-native';

/**
 * A package that only some servers need.
 *
 * @throws {@link DpmError} `ERR_DPM_USAGE` saying what to install.
 */
export async function optional<T>(load: () => Promise<T>, what: string, packages: string): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new DpmError('ERR_DPM_USAGE', `${what} takes packages of its own: npm install ${packages}`, { cause });
  }
}
