/** Largest pickle that is read: PyTorch's hold names and shapes, a few hundred bytes a tensor. */
export const MAX_PICKLE_BYTES = 256 * 1024 * 1024;

/** Values one pickle may build, whatever becomes of them; a tensor takes about twenty. */
export const MAX_VALUES = 4_000_000;

/** Objects among them: lists, tuples, dictionaries, tensors, bytes. One of a byte in the file takes some 100 in memory. */
export const MAX_OBJECTS = 1_500_000;

/** Dictionaries one pickle may build; an empty one costs a byte in the file and hundreds in memory. */
export const MAX_DICTS = 300_000;

/** Values waiting on the stack. Lists and dictionaries are filled a thousand at a time, so only tuples need many. */
export const MAX_STACK = 1_000_000;

/**
 * Keys that are numbers, over all dictionaries of a pickle. Hashes of numbers carry no secret, so that a file can choose
 * keys that all collide and make every insertion a search.
 */
export const MAX_NUMBER_KEYS = 16_384;

/**
 * Characters of a key, of a dictionary or of a storage. Each look-up compares all of a key, so that long ones make a short
 * file slow.
 */
export const MAX_KEY_LENGTH = 1024;

/** Bytes of an integer; ids and PyTorch's magic number have at most ten. */
export const MAX_INTEGER_BYTES = 128;

/** Characters of a line of text in a pickle: a number, or the name of a module or class. */
export const MAX_LINE = 512;

/** Containers inside each other. */
export const MAX_DEPTH = 128;

/** Values met on a walk through everything, what is shared counted as often as it is reached. */
export const MAX_UNFOLDED = 32_000_000;

/** Sizes of one tensor. */
export const MAX_RANK = 8;
