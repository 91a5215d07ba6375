/** Pattern of JavaScript's own errors, also if wrapped: an exception becomes `ERR_DPM_FILE` while a file is open. */
export const mistake = /call stack|Cannot read prop|is not (a function|iterable)|Invalid (array|string) length/;
