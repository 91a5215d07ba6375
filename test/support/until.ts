// Conditions that tests of servers wait for.

/** Waits until something holds, asking less often the longer it takes: to ask costs time that the answer may need. */
export async function until(holds: () => Promise<boolean> | boolean, milliseconds = 60_000): Promise<void> {
  const end = performance.now() + milliseconds;
  for (let pause = 10; !(await holds()); pause = Math.min(1.2 * pause, 100)) {
    if (performance.now() > end) throw new Error('it never came to hold');
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** The value of a metric in what `/metrics` says, summed over its labels. */
export function valueIn(text: string, name: string, labels = ''): number {
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return lines.filter((line) => line.includes(labels)).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** Waits until a server is at work on a sample. */
export async function untilDraws({ url }: { url: string }, headers: Record<string, string> = {}): Promise<void> {
  await until(async () => {
    const text = await (await fetch(`${url}/metrics`, { headers })).text();
    return valueIn(text, 'dpm_samples_resident') > 0;
  });
}
