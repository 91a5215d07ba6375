import { DpmError } from '../base/errors.js';

/** What of `dpm-native-server` is called here. It uses this package, so that it cannot be imported by it. */
export interface ServerPackage {
  readConfig(path: string): Promise<Config>;
  newToken(name: string): { token: string; entry: string };
  Server: { start(config: Config): Promise<RunningServer>; work(config: Config): Promise<RunningServer> };
  listJobs(place: JobPlace): Promise<JobView[]>;
  changeJob(place: JobPlace, id: string, action: 'retry' | 'cancel'): Promise<JobView>;
  purgeJobs(place: JobPlace): Promise<number>;
}

export interface RunningServer {
  readonly url: string;
  readonly metricsUrl: string | undefined;
  follow(file: string, read: () => Promise<Config>): void;
  stop(): Promise<boolean>;
}

export interface ModelConfig {
  id?: string;
  path: string;
  [option: string]: unknown;
}

export interface Config {
  models?: ModelConfig[];
  [option: string]: unknown;
}

/** Where jobs are. */
export interface JobPlace {
  spool?: string | undefined;
  queue?: string | undefined;
}

/** A job as its routes show it. */
export interface JobView {
  id: string;
  state: string;
  done: number;
  total: number;
  model: string;
  sampler: string;
  createdAt: string;
  failedChunks: { chunk: number; code: string; message: string }[];
  [field: string]: unknown;
}

const packageName = 'dpm-native-server';

/** @throws {@link DpmError} `ERR_DPM_USAGE` where it is not installed. */
export async function serverPackage(): Promise<ServerPackage> {
  try {
    return (await import(packageName)) as ServerPackage;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new DpmError('ERR_DPM_USAGE', `the server is a package of its own: npm install ${packageName}`, { cause });
  }
}
