import type { ServedModel } from '../models/served.js';
import { libraryVersion } from '../base/version.js';

/** Makes a text fit for names of queues and folders. */
function plain(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
}

/**
 * The class of engines that draw the same bits: kind of device, instruction set or card, number format, and version. Other classes
 * may draw other last bits.
 */
export function engineClass({ model, config }: Pick<ServedModel, 'model' | 'config'>): string {
  const { name, description } = model.device;
  const [kind = name] = name.split(':');
  // The description of a cpu goes on with threads and other features, which do not change any bits.
  const unit = kind === 'cpu' ? (description.split(/[, ]/)[0] ?? '') : description;
  const dtype = config.dtype ?? (kind === 'cuda' && config.exact !== true ? 'bf16' : 'f32');
  const parts = [kind, unit, dtype, ...(config.exact === true ? ['exact'] : []), libraryVersion];
  return parts
    .map(plain)
    .filter((part) => part !== '')
    .join('-')
    .slice(0, 100);
}
