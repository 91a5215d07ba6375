import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { modelOf } from '../offered.js';
import { duration } from '../run.js';

const EVERY_MS = 1000;

async function loadText(id: string): Promise<string> {
  try {
    const { batcher } = await modelOf(id);
    const { rows, capacityRowsPerSecond: capacity, expectedWaitMs } = batcher;
    return `${id}: ${rows} rows per step, ${Math.round(capacity)} rows a second at most, expected wait ${duration(expectedWaitMs)}`;
  } catch (error) {
    return `${id}: no answer (${error instanceof Error ? error.message : String(error)})`;
  }
}

/** How busy a model is, every second while something runs: once in any case, however short the run was. */
export function Load({ id, isRunning }: { id: string; isRunning: boolean }): JSX.Element {
  const [text, setText] = useState('');
  useEffect(() => {
    if (!isRunning) return undefined;
    const show = (): void => void loadText(id).then(setText);
    show();
    const timer = setInterval(show, EVERY_MS);
    return () => {
      clearInterval(timer);
    };
  }, [id, isRunning]);
  return <p id="load">{text}</p>;
}
