import type { ServedModel } from '../models/registry.js';
import { libraryVersion } from '../base/version.js';

/** Words as names of queues and folders have them. */
function plain(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
}

/**
 * The class of engines that draw the same bits: kind of device, instruction set or card, number format, and version. Between classes the
 * last bits differ.
 */
export function engineClass({ model, config }: Pick<ServedModel, 'model' | 'config'>): string {
  const { name, description } = model.device;
  const [kind = name] = name.split(':');
  // Of a cpu the number of threads follows, which changes nothing, as does what else is built in.
  const unit = kind === 'cpu' ? (description.split(/[, ]/)[0] ?? '') : description;
  const dtype = config.dtype ?? (kind === 'cuda' && config.exact !== true ? 'bf16' : 'f32');
  const parts = [kind, unit, dtype, ...(config.exact === true ? ['exact'] : []), libraryVersion];
  return parts
    .map(plain)
    .filter((part) => part !== '')
    .join('-')
    .slice(0, 100);
}
