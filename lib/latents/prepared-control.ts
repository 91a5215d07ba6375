/** What a ControlNet sees of pictures that control, which all evaluations with these pictures share. */
export class PreparedControl {
  /** Number of the ControlNet among those of its U-Net. */
  readonly index: number;
  /** Number of pictures. */
  readonly count: number;
  /** Height of the states that they belong to. */
  readonly height: number;
  /** Width of these states. */
  readonly width: number;
  /** U-Net that made it. @internal */
  readonly network: object;
  /** Features [count, channels, height, width]. @internal */
  readonly data: Float32Array;

  /** @internal */
  constructor(
    network: object,
    { index, count, height, width }: Pick<PreparedControl, 'index' | 'count' | 'height' | 'width'>,
    data: Float32Array,
  ) {
    this.network = network;
    this.index = index;
    this.count = count;
    this.height = height;
    this.width = width;
    this.data = data;
  }
}
