// The rooms of the house: what each holds and which it may use. ARCHITECTURE.md shows this table; rooms.test.ts compares
// both with every import of lib/ and packages/server/src/, and every include of native/ and cuda/.
import { cudaRooms } from './rooms/cuda.js';
import { libRooms } from './rooms/lib.js';
import { nativeRooms } from './rooms/native.js';
import type { Room } from './rooms/room.js';
import { serverRooms } from './rooms/server.js';

export type { Room };

/** Every room, after those that it uses. */
export const rooms: readonly Room[] = [...libRooms, ...serverRooms, ...nativeRooms, ...cudaRooms];
