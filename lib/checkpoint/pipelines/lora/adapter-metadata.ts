import { DpmError } from '../../../base/errors.js';
import { ConfigReader, isJsonObject } from '../../../files/config-reader.js';
import { parseJson } from '../../../files/parse-json.js';

const KEY = 'lora_adapter_metadata';

/** Most characters of the text; that of a large network has some hundred thousand. */
const LONGEST = 2 ** 24;

/** Names of layers, as the library writes them into its patterns. */
const layerName = /^[\w.]{1,1024}$/;

/** Configuration of the additions to one network that PEFT writes into a file's header, or none. */
class NetworkMetadata {
  readonly #config: ConfigReader;
  readonly #alphas: ReadonlyMap<string, number>;

  constructor(fields: ReadonlyMap<string, unknown>, source: string) {
    this.#config = new ConfigReader(Object.fromEntries(fields), source);
    for (const name of ['use_dora', 'fan_in_fan_out']) {
      if (this.#config.boolean(name, false)) throw this.#config.unsupported(name, 'false');
    }
    this.#alphas = this.#patterns();
  }

  /** Gives what the product of a layer's factors is multiplied by. */
  factor(layer: string, rank: number): number {
    const alpha = this.#patternOf(layer) ?? this.#config.numberOrNull('lora_alpha') ?? rank;
    return alpha / (this.#config.boolean('use_rslora', false) ? Math.sqrt(rank) : rank);
  }

  /** Finds the alpha of a layer by its name, or by the longest end of it that there is. */
  #patternOf(layer: string): number | undefined {
    for (let start = 0; start >= 0; start = layer.indexOf('.', start + 1)) {
      const alpha = this.#alphas.get(layer.slice(start === 0 ? 0 : start + 1));
      if (alpha !== undefined) return alpha;
    }
    return undefined;
  }

  #patterns(): Map<string, number> {
    const raw = this.#config.raw('alpha_pattern') ?? {};
    if (!isJsonObject(raw)) throw this.#config.error('alpha_pattern', 'an object of numbers');
    return new Map(
      Object.entries(raw).map(([name, alpha]) => {
        // Patterns of one's own are regular expressions, which a stranger's file must not choose.
        if (!layerName.test(name)) throw this.#config.unsupported('alpha_pattern', 'names of layers');
        if (typeof alpha !== 'number' || !Number.isFinite(alpha)) {
          throw this.#config.error('alpha_pattern', 'an object of finite numbers');
        }
        return [name, alpha];
      }),
    );
  }
}

/** What the header of a file of PEFT says of the additions to each network. */
export class AdapterMetadata {
  readonly #networks = new Map<string, NetworkMetadata>();

  /**
   * @param metadata - Texts of the file's header.
   * @throws {@link DpmError} `ERR_DPM_FILE_HEADER` if they are not JSON, `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the
   * field.
   */
  constructor(path: string, metadata: ReadonlyMap<string, string>) {
    const text = metadata.get(KEY);
    if (text === undefined) return;
    const source = `${path}: ${KEY}`;
    const invalid = (problem: string, cause?: unknown): DpmError =>
      new DpmError('ERR_DPM_FILE_HEADER', `${source} ${problem}`, { cause });
    if (text.length > LONGEST) throw invalid(`has ${text.length} characters, it has at most ${LONGEST}`);
    const parsed = parseJson(text, invalid, { python: true });
    if (!isJsonObject(parsed)) throw invalid('is not a JSON object');
    const fields = new Map<string, Map<string, unknown>>();
    for (const [key, value] of Object.entries(parsed)) {
      const end = key.indexOf('.');
      const network = key.slice(0, Math.max(0, end));
      const own = fields.get(network) ?? new Map<string, unknown>();
      fields.set(network, own.set(key.slice(end + 1), value));
    }
    for (const [network, own] of fields) this.#networks.set(network, new NetworkMetadata(own, `${source} ${network}`));
  }

  /** Gives what the product of a layer's factors is multiplied by: 1 where nothing is said. */
  factor(layer: string, rank: number): number {
    const end = layer.indexOf('.');
    return this.#networks.get(layer.slice(0, Math.max(0, end)))?.factor(layer.slice(end + 1), rank) ?? 1;
  }
}
