import { createHash, randomBytes } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

import { DpmError } from '../../base/errors.js';
import { isJsonObject } from '../../files/config-reader.js';
import { fileError } from '../../files/files.js';
import { parseJson } from '../../files/parse-json.js';

/** Name of the file that says that a run trains in a folder. */
export const lockName = '.lock';

/** Who holds a lock. */
interface Holder {
  pid: number;
  host: string;
  /** When the process began, as its system tells it; tells processes of one number apart. Empty where no system does. */
  began: string;
  token: string;
}

/** Tells when a process began: ticks since the machine did, and which start of the machine that was; Linux alone. */
async function beginningOf(pid: number): Promise<string> {
  try {
    const status = await readFile(`/proc/${pid}/stat`, 'latin1');
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'latin1');
    // The name before the last bracket may hold anything.
    const ticks = status.slice(status.lastIndexOf(')') + 2).split(' ')[19] ?? '';
    return `${boot.trim()} ${ticks}`;
  } catch {
    return '';
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's process cannot be asked, but is there.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Reads a lock; null where there is none. What cannot be read is somebody's. */
async function holderOf(path: string): Promise<Holder | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw fileError('read', path, cause);
  }
  const damaged = (problem: string, cause?: unknown): DpmError =>
    new DpmError('ERR_DPM_FILE', `${path} ${problem}; remove it if no run trains there`, { cause });
  const json = parseJson(text, damaged);
  const { pid, host, began, token } = isJsonObject(json) ? json : {};
  const isHolder =
    Number.isSafeInteger(pid) && Number(pid) > 0 && [host, began, token].every((each) => typeof each === 'string');
  if (!isHolder) throw damaged('does not say who trains there');
  return { pid: Number(pid), host: String(host), began: String(began), token: String(token) };
}

/** Tells whether nobody holds a lock any more: its process is gone, or another one has its number. */
async function isStale({ pid, host, began }: Holder): Promise<boolean> {
  if (host !== hostname()) return false;
  if (!isAlive(pid)) return true;
  const now = await beginningOf(pid);
  return began !== '' && now !== '' && now !== began;
}

/** Gives a file a second name if nothing has it. */
async function named(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw fileError('write', to, cause);
  }
}

/**
 * Takes a stale lock away. Who may is who makes a file of the stale lock's own name, as all that find it may try at once and
 * the last ones would take away the lock that the first has made.
 *
 * @returns False if another run is doing so.
 */
async function removedStale(path: string, { token }: Holder, own: string): Promise<boolean> {
  const right = `${path}.${createHash('sha256').update(token).digest('hex').slice(0, 12)}.stale`;
  if (!(await named(own, right))) return false;
  try {
    const now = await holderOf(path);
    if (now?.token === token) await rm(path, { force: true });
  } finally {
    await rm(right, { force: true });
  }
  return true;
}

/** Lock of a folder against a second run, of this process or of another one. */
export class RunLock implements AsyncDisposable {
  private constructor(
    readonly path: string,
    private readonly token: string,
  ) {}

  /**
   * Takes the lock of a folder that exists. A lock whose process is gone is taken over; one of another machine is not, as
   * nobody can tell.
   *
   * @throws {@link DpmError} `ERR_DPM_FILE` naming the lock and the process that holds it.
   */
  static async take(folder: string): Promise<RunLock> {
    const path = join(folder, lockName);
    const token = randomBytes(16).toString('hex');
    const own: Holder = { pid: process.pid, host: hostname(), began: await beginningOf(process.pid), token };
    const temporary = `${path}.${token.slice(0, 12)}.tmp`;
    try {
      await writeFile(temporary, `${JSON.stringify(own)}\n`, { flag: 'wx' }).catch((cause: unknown) => {
        throw fileError('write', path, cause);
      });
      while (!(await named(temporary, path))) {
        const holder = await holderOf(path);
        if (holder === null) continue;
        if (!(await isStale(holder))) {
          const where = holder.host === own.host ? '' : ` on ${holder.host}`;
          const hint = holder.host === own.host ? '' : '; remove the file if it does not';
          throw new DpmError('ERR_DPM_FILE', `${path}: process ${holder.pid}${where} trains there${hint}`);
        }
        if (!(await removedStale(path, holder, temporary))) {
          throw new DpmError(
            'ERR_DPM_FILE',
            `${path}: another run takes it over now; remove its .stale file if none does`,
          );
        }
      }
      return new RunLock(path, token);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** Gives the folder back. A lock that another run has is left to it. */
  async release(): Promise<void> {
    const holder = await holderOf(this.path).catch(() => null);
    if (holder?.token === this.token) await rm(this.path, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
