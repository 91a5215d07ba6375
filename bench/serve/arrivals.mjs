// Jobs that come at random, and how long they take on cards that share one line.

/** Milliseconds at which jobs come until an end: a Poisson process of a rate, the same in each run. */
export function randomArrivals(perMs, end) {
  let state = 1;
  // Lehmer's generator, which is random enough for arrivals.
  const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  const times = [];
  for (let at = -Math.log(random()) / perMs; at < end; at -= Math.log(random()) / perMs) times.push(at);
  return times;
}

/** When each job would begin and end if its chunks were drawn in the order of their coming, without any delay. */
export function ideal(arrivals, { cards, chunks, cardMs }) {
  const free = new Float64Array(cards);
  return arrivals.map((sent) => {
    const parts = Array.from({ length: chunks }, () => {
      const card = free.indexOf(Math.min(...free));
      const began = Math.max(sent, free[card]);
      free[card] = began + cardMs;
      return { began, ended: free[card] };
    });
    return {
      sent,
      began: Math.min(...parts.map(({ began }) => began)),
      ended: Math.max(...parts.map(({ ended }) => ended)),
    };
  });
}

function quantile(list, part) {
  return [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(part * list.length))];
}

/** Seconds that jobs wait for their first chunk, and that they take in all. */
export function spreadOf(jobs) {
  const spread = (of) => ({ p50: quantile(jobs.map(of), 0.5) / 1e3, p99: quantile(jobs.map(of), 0.99) / 1e3 });
  return { waited: spread(({ sent, began }) => began - sent), done: spread(({ sent, ended }) => ended - sent) };
}
