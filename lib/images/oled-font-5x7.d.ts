declare module 'oled-font-5x7' {
  /** A font of 5 x 7 pixels. */
  const font: {
    /** Five columns a letter, the lowest bit above. */
    fontData: readonly number[];
    /** The letters, in the order of `fontData`. */
    lookup: readonly string[];
  };
  export default font;
}
