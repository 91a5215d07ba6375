import { DpmError } from '../base/errors.js';
import { isJsonObject } from '../files/config-reader.js';
import type { TrainableNetwork } from '../checkpoint/trainable.js';

/** Reads the dropout of a network's configuration, whose field all families call so; 0 where it has none. */
function dropoutOf({ config, source }: Pick<TrainableNetwork, 'config' | 'source'>): number {
  const { dropout = isJsonObject(config.model) ? config.model.dropout : undefined } = config;
  if (dropout === undefined || dropout === null) return 0;
  if (typeof dropout === 'number' && dropout >= 0 && dropout < 1) return dropout;
  throw new DpmError(
    'ERR_DPM_CONFIG',
    `${source}: dropout is ${JSON.stringify(dropout)}, it has to be a number from 0 to below 1`,
  );
}

/**
 * Lets a network that learns drop out, in its residual blocks; one that stays as it is while a head learns does not.
 *
 * @param given - Rate in place of that of the configuration.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a rate beside a head, `ERR_DPM_CONFIG` for one that is no probability.
 */
export function withDropout(
  trainable: TrainableNetwork,
  given: number | undefined,
): { trainable: TrainableNetwork; dropout: number } {
  if (trainable.head !== null) {
    if (given === undefined) return { trainable, dropout: 0 };
    throw new DpmError('ERR_DPM_ARGUMENT', 'dropout: the network stays as it is while a head learns');
  }
  const dropout = given ?? dropoutOf(trainable);
  if (dropout === 0) return { trainable, dropout };
  return { trainable: { ...trainable, graph: trainable.droppingOut(dropout) }, dropout };
}
