/** Maximum size of a pickle: PyTorch's hold names and shapes, a few hundred bytes a tensor. */
export const MAX_PICKLE_BYTES = 256 * 1024 * 1024;

/** Maximum number of values that one pickle may build, kept or not; a tensor takes about twenty. */
export const MAX_VALUES = 4_000_000;

/**
 * Maximum number of objects: lists, tuples, dictionaries, tensors, bytes. One of a file byte takes some 100 in memory.
 */
export const MAX_OBJECTS = 1_500_000;

/** Maximum number of dictionaries; an empty one costs a byte in the file and hundreds in memory. */
export const MAX_DICTS = 300_000;

/**
 * Maximum number of values on the stack. Lists and dictionaries grow by a thousand at a time; only tuples need many.
 */
export const MAX_STACK = 1_000_000;

/**
 * Maximum number of keys that are numbers, over all dictionaries of a pickle. Hashes of numbers carry no secret, so a
 * file can choose keys that all collide and make every insertion a search.
 */
export const MAX_NUMBER_KEYS = 16_384;

/**
 * Maximum number of characters of a key, of a dictionary or of a storage. Each look-up compares all of a key, so long ones
 * make a short file slow.
 */
export const MAX_KEY_LENGTH = 1024;

/** Maximum number of bytes of an integer; ids and PyTorch's magic number have at most ten. */
export const MAX_INTEGER_BYTES = 128;

/** Maximum length of a line of text in a pickle: a number, or the name of a module or class. */
export const MAX_LINE = 512;

/** Maximum depth of containers. */
export const MAX_DEPTH = 128;

/** Maximum number of values on a walk through everything; shared values count each time they are reached. */
export const MAX_UNFOLDED = 32_000_000;

/** Maximum number of sizes of one tensor. */
export const MAX_RANK = 8;
