import { DpmError } from '../base/errors.js';

/** The error of a picture that is damaged, or of a kind that is not read. */
export function wrongPicture(path: string, what: string): DpmError {
  return new DpmError('ERR_DPM_FILE', `${path}: ${what}`);
}

/** Refuses a picture of other sides. @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming both. */
export function requireSides(
  path: string,
  [height, width]: readonly [height: number, width: number],
  [wantedHeight, wantedWidth]: readonly [height: number, width: number],
): void {
  if (height === wantedHeight && width === wantedWidth) return;
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `${path}: the image has ${width} x ${height} pixels, it has to have ${wantedWidth} x ${wantedHeight}`,
  );
}

/** Refuses colours for other channels than three; grey serves for any. @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE`. */
export function requireColours(path: string, colours: number, wanted: number): void {
  if (colours === wanted || colours === 1) return;
  throw new DpmError('ERR_DPM_TENSOR_SHAPE', `${path}: the image is RGB, it has to have ${wanted} channels`);
}
