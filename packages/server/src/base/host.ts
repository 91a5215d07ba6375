/** Gives the host of an authority, `name:port`, without its port and in lower case; undefined where it cannot be read. */
export function hostOf(authority: string): string | undefined {
  const url = `http://${authority}`;
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}
