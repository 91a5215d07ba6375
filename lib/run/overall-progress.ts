type Report = (done: number, total: number) => void;

/**
 * Combines the reports of batches that run one after another into reports over all samples, in units of the first
 * batch. The reported progress never decreases, even if batches count different totals.
 *
 * @param count - Total number of samples.
 * @returns A function that makes the report of the batch of `batch` samples from sample `first` on.
 */
export function overallProgress(count: number, onProgress: Report): (first: number, batch: number) => Report {
  let perSample = 0;
  let furthest = 0;
  return (first, batch) => (done, total) => {
    if (perSample === 0) perSample = total;
    const share = total > 0 ? Math.min(done / total, 1) : 0;
    furthest = Math.max(furthest, Math.round(perSample * (first + batch * share)));
    onProgress(furthest, perSample * count);
  };
}
