/** Limits of requests and defaults, which the server writes into the page. */
export interface Limits {
  readonly defaultSteps: string;
  readonly leastSteps: string;
  readonly mostSteps: string;
  readonly mostSamples: string;
}

const { defaultSteps = '', leastSteps = '', mostSteps = '', mostSamples = '' } = document.documentElement.dataset;

export const limits: Limits = { defaultSteps, leastSteps, mostSteps, mostSamples };
