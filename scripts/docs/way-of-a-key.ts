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
  { file: 'jobs/run/work.ts', from: 'jobs/run/run.ts', what: 'Lists and works on chunks at the same time.' },
  { file: 'jobs/plan/list-contracts.ts', from: 'jobs/run/work.ts', what: 'Finds the key in its record.' },
  {
    file: 'sources/listing/paginate.ts',
    from: 'jobs/plan/list-contracts.ts',
    what: 'Asks for one page after the other.',
  },
  {
    file: 'ledger/store-contracts.ts',
    from: 'jobs/plan/list-contracts.ts',
    what: 'Stores the key in the plan, nightfill.contract.',
  },
  {
    file: 'jobs/admission/work-chunks.ts',
    from: 'jobs/run/work.ts',
    what: 'Takes the chunk with the key when quota and memory allow.',
  },
  {
    file: 'jobs/load/chunk.ts',
    from: 'jobs/admission/work-chunks.ts',
    what: 'Enriches all keys of the chunk, then loads them.',
  },
  {
    file: 'jobs/enrich/enrich.ts',
    from: 'jobs/load/chunk.ts',
    what: 'Fills the key into the lookups, and waits for their answers.',
  },
  { file: 'jobs/enrich/map-row.ts', from: 'jobs/enrich/enrich.ts', what: 'Makes a row of the answers.' },
  { file: 'sinks/target/copy-upsert.ts', from: 'jobs/load/chunk.ts', what: 'COPY and upsert into the target.' },
  {
    file: 'jobs/chunk-ledger.ts',
    from: 'jobs/load/chunk.ts',
    what: 'Records in the same transaction what became of the key.',
  },
  { file: 'jobs/run/close-run.ts', from: 'jobs/run/run.ts', what: 'Closes the run.' },
  { file: 'report/build.ts', from: 'jobs/run/close-run.ts', what: 'Counts the key in the report.' },
];
