type Report = (done: number, total: number) => void;

/**
 * Reports of batches that run one after another, as reports over all samples in units of the first batch. What is done never goes
 * back, even where batches differ in what they call their total.
 *
 * @param count - Samples in all.
 * @returns The report of the batch of `batch` samples from sample `first` on.
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
