/** As a run stores its figures, as far as its report needs them, with one summed column. */
export const seededFigures = {
  generator: { name: 'nightfill', version: '0', node: process.version },
  database: 'the ledger',
  apis: [],
  tasks: [],
  process: { eventLoopDelayMs: { p99: 1, max: 1 }, peakMemoryBytes: 1 },
  phases: { listMs: 1, enrichMs: 1, loadMs: 100_000 },
  workMs: 1,
  finishBy: null,
  overNewer: null,
  listFailure: null,
  sums: [
    {
      column: 'amount',
      by: 'currency',
      listedPath: ['amount'],
      listedByPath: ['currency'],
      byIsPadded: true,
      independent: true,
    },
  ],
  controls: [
    { type: 'sum', column: 'amount', by: 'currency', tolerance: { absolute: '0', share: 0 }, severity: 'fail' },
    {
      type: 'change',
      column: 'amount',
      by: 'currency',
      change: 0.5,
      tolerance: { absolute: '0', share: 0 },
      severity: 'warn',
    },
    { type: 'listed', change: 0.5, tolerance: { absolute: '0', share: 0 }, severity: 'fail' },
  ],
  marking: null,
};

/** A stored report of an earlier night, as far as the next one reads it. */
export const seededReport = JSON.stringify({
  run: { id: 'x', businessDate: '2026-11-18', status: 'succeeded' },
  counts: { listed: 1 },
  amounts: [],
  controls: [],
});
