export interface Step {
  /** Below src/. */
  file: string;
  /** The earlier file that hands the key on to this one; it imports it. Absent for the first. */
  from?: string;
  /** What happens to the key here. */
  what: string;
}

/**
 * The way of one contract's key from the listing to the report, in the order of a night in which nothing fails. A file
 * may come twice. Files that know nothing of contracts (waiting, encoding, parsing) are left out.
 */
export const steps: readonly Step[] = [
  { file: 'jobs/run/run.ts', what: 'A run begins: lease, instance, target.' },
  { file: 'jobs/run/execute.ts', from: 'jobs/run/run.ts', what: 'Start, work, second chance, switch, close.' },
  { file: 'jobs/run/work.ts', from: 'jobs/run/execute.ts', what: 'Lists while chunks are worked on.' },
  {
    file: 'jobs/plan/list-contracts.ts',
    from: 'jobs/run/work.ts',
    what: 'Finds the key in its record, and cuts chunks.',
  },
  {
    file: 'sources/listing/paginate.ts',
    from: 'jobs/plan/list-contracts.ts',
    what: 'Asks for one page after the other.',
  },
  { file: 'ledger/plan.ts', from: 'jobs/plan/list-contracts.ts', what: 'Stores the chunk, under the lease.' },
  { file: 'ledger/store-contracts.ts', from: 'ledger/plan.ts', what: 'Stores the key in nightfill.contract.' },
  { file: 'jobs/run/work-chunks.ts', from: 'jobs/run/work.ts', what: 'Takes the chunk when quota and memory allow.' },
  {
    file: 'ledger/planned-work.ts',
    from: 'jobs/run/work-chunks.ts',
    what: 'Reads the keys of the chunk that are to do.',
  },
  {
    file: 'jobs/load/chunk.ts',
    from: 'jobs/run/work-chunks.ts',
    what: 'Enriches all keys of the chunk, then loads them.',
  },
  { file: 'jobs/enrich/contract.ts', from: 'jobs/load/chunk.ts', what: 'Makes a row or a failure of one key.' },
  { file: 'jobs/enrich/lookups.ts', from: 'jobs/enrich/contract.ts', what: 'Fills the key into the lookups.' },
  {
    file: 'jobs/enrich/shared-lookups.ts',
    from: 'jobs/enrich/lookups.ts',
    what: 'Asks once for what several keys need.',
  },
  {
    file: 'sources/api/api.ts',
    from: 'jobs/enrich/shared-lookups.ts',
    what: 'Asks under limits, breaker and retries.',
  },
  { file: 'jobs/enrich/map-row.ts', from: 'jobs/enrich/contract.ts', what: 'Makes a row of the answers.' },
  { file: 'jobs/load/load-chunk.ts', from: 'jobs/load/chunk.ts', what: 'Loads the chunk in one transaction.' },
  { file: 'sinks/target/copy-upsert.ts', from: 'jobs/load/load-chunk.ts', what: 'COPY and upsert into the target.' },
  { file: 'ledger/target-row.ts', from: 'jobs/load/load-chunk.ts', what: 'Refuses a second key for the same row.' },
  { file: 'jobs/load/load-outcomes.ts', from: 'jobs/load/load-chunk.ts', what: 'Sorts loaded keys from refused ones.' },
  {
    file: 'ledger/attempt.ts',
    from: 'jobs/load/load-chunk.ts',
    what: 'Records what became of the key, in the same transaction.',
  },
  { file: 'jobs/run/close-run.ts', from: 'jobs/run/execute.ts', what: 'Closes the run and judges it.' },
  { file: 'report/build.ts', from: 'jobs/run/close-run.ts', what: 'Counts the key in the report.' },
];
