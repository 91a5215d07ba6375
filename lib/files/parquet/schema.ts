import { DpmError } from '../../base/errors.js';
import type { Fields } from './fields.js';

const physicalTypes = ['BOOLEAN', 'INT32', 'INT64', 'INT96', 'FLOAT', 'DOUBLE', 'BYTE_ARRAY', 'FIXED_LEN_BYTE_ARRAY'];

/** Depth of groups in each other. */
const DEEPEST = 16;

const OPTIONAL = 1;
const REPEATED = 2;

/** Converted types of integers, signed or not. */
const UINT_8 = 11;
const INT_64 = 18;
/** Logical type of integers. */
const INTEGER = 10;

/** A column that has values of its own; several of them make a column of structs. */
export interface Leaf {
  /** Names of the column and of what is inside it. */
  readonly path: readonly string[];
  /** Name of the type in Parquet. */
  readonly type: string;
  /** What the values of this type are: themselves, integers of a width, or something else, as text or a date. */
  readonly meaning: 'plain' | 'integer' | 'other';
  /** Definition level of a value that is there: number of optional columns on its path. */
  readonly present: number;
  /** Whether a row may have several values. */
  readonly isRepeated: boolean;
}

function meaningOf(element: Fields): Leaf['meaning'] {
  const converted = element.has(6) ? element.count(6, 'converted_type') : null;
  const logical = element.has(10) ? element.inner(10, 'logicalType') : null;
  if (converted === null && logical === null) return 'plain';
  const isInteger =
    (converted === null || (converted >= UINT_8 && converted <= INT_64)) && (logical === null || logical.has(INTEGER));
  return isInteger ? 'integer' : 'other';
}

/** Reads elements of a schema, which stand there as a tree from above. */
class SchemaReader {
  readonly leaves: Leaf[] = [];
  #next = 0;

  constructor(
    private readonly where: string,
    private readonly elements: readonly Fields[],
  ) {}

  take({ path, present, isRepeated }: Pick<Leaf, 'path' | 'present' | 'isRepeated'>): void {
    const element = this.elements[this.#next++] ?? this.#fail('ends too early');
    if (path.length > DEEPEST) this.#fail(`has columns more than ${DEEPEST} deep`);
    const isRoot = this.#next === 1;
    const repetition = isRoot ? 0 : element.count(3, 'repetition_type', 0);
    const own = {
      path: isRoot ? [] : [...path, element.text(4, 'name')],
      present: present + (repetition === OPTIONAL || repetition === REPEATED ? 1 : 0),
      isRepeated: isRepeated || repetition === REPEATED,
    };
    const children = element.count(5, 'num_children', 0);
    if (children === 0 && !isRoot) {
      const type = physicalTypes[element.count(1, 'type')] ?? this.#fail('has a column of an unknown type');
      this.leaves.push({ ...own, type, meaning: meaningOf(element) });
    }
    for (let i = 0; i < children; ++i) this.take(own);
  }

  end(): void {
    if (this.#next !== this.elements.length) this.#fail('has elements that are in no column');
  }

  #fail(problem: string): never {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${this.where}: the schema ${problem}`);
  }
}

/**
 * Reads the columns that have values, in the order of their chunks.
 *
 * @param where - Name in errors.
 * @throws {@link DpmError} `ERR_DPM_FILE_HEADER`.
 */
export function leavesOf(where: string, elements: readonly Fields[]): Leaf[] {
  const reader = new SchemaReader(where, elements);
  reader.take({ path: [], present: 0, isRepeated: false });
  reader.end();
  return reader.leaves;
}
