/** A folder, or one file, and every folder inside it that is no room of its own. */
export interface Room {
  readonly path: string;
  readonly holds: string;
  /** Rooms listed earlier whose files it may import or include. */
  readonly uses: readonly string[];
  /** Lines that its files may have in all. A larger number is a decision, and its commit says why. */
  readonly lines: number;
}
