export interface Step {
  /** Below src/. */
  file: string;
  /** The earlier file that hands the key on to this one; it imports it. Absent for the first. */
  from?: string;
  /** What happens to the key here. */
  what: string;
}

/**
 * The way of one contract's key from the listing to the report, in the order of a night in which nothing fails. A step is
 * a call that enters another file with the key, or with what carries it (a page, a record, a chunk, a row), in hand; a
 * file may come twice. Left out is what knows nothing of contracts (JSON, HTTP, the Postgres client, resilience) and what
 * follows from the key's money, its last known values and its failures.
 */
export const steps: readonly Step[] = [
  {
    file: 'jobs/run/execute.ts',
    what: 'Begins a run and keeps its order: list and work, second chance, switch, close.',
  },
  {
    file: 'jobs/run/work.ts',
    from: 'jobs/run/execute.ts',
    what: 'Lists while the chunks stored so far are worked on.',
  },
  {
    file: 'jobs/plan/list-contracts.ts',
    from: 'jobs/run/work.ts',
    what: 'Finds the key in each record of the listing, and gathers keys to chunks.',
  },
  {
    file: 'sources/listing/paginate.ts',
    from: 'jobs/plan/list-contracts.ts',
    what: 'Asks for one page after the other, and takes the records out of it.',
  },
  {
    file: 'sources/api/api.ts',
    from: 'sources/listing/paginate.ts',
    what: "Sends the request within the API's limits, and again where time may mend it.",
  },
  {
    file: 'ledger/plan.ts',
    from: 'jobs/plan/list-contracts.ts',
    what: 'Stores the chunk under the lease; then its number goes into the queue of work.ts.',
  },
  {
    file: 'ledger/store-contracts.ts',
    from: 'ledger/plan.ts',
    what: 'Stores the key in nightfill.contract, once however often it is listed.',
  },
  {
    file: 'jobs/run/work-chunks.ts',
    from: 'jobs/run/work.ts',
    what: "Takes the chunk's number from the queue, and lets the chunk begin when memory and quota have room.",
  },
  {
    file: 'ledger/planned-work.ts',
    from: 'jobs/run/work-chunks.ts',
    what: "Reads the chunk's keys back from the plan, those that are not loaded yet.",
  },
  {
    file: 'jobs/load/chunk.ts',
    from: 'jobs/run/work-chunks.ts',
    what: 'Has all keys of the chunk enriched, then loads them.',
  },
  {
    file: 'jobs/enrich/contract.ts',
    from: 'jobs/load/chunk.ts',
    what: 'Makes a row of one key, or a failure, which is a value.',
  },
  {
    file: 'jobs/enrich/lookups.ts',
    from: 'jobs/enrich/contract.ts',
    what: "Fills the key into the lookups' templates, and decides what stands in for a failure.",
  },
  {
    file: 'jobs/enrich/shared-lookups.ts',
    from: 'jobs/enrich/lookups.ts',
    what: 'Asks for the same URL once, whichever keys need it.',
  },
  { file: 'sources/api/api.ts', from: 'jobs/enrich/shared-lookups.ts', what: 'Sends the lookup as it sent the page.' },
  {
    file: 'jobs/enrich/map-row.ts',
    from: 'jobs/enrich/contract.ts',
    what: 'Takes each column out of the answers, as text that Postgres reads.',
  },
  {
    file: 'jobs/load/load-chunk.ts',
    from: 'jobs/load/chunk.ts',
    what: 'Says what the one transaction of the chunk does; run-ledger.ts opens, fences and repeats it.',
  },
  {
    file: 'sinks/target/copy-upsert.ts',
    from: 'jobs/load/load-chunk.ts',
    what: 'COPYs the rows into a temporary table, and upserts them into the target.',
  },
  {
    file: 'sinks/target/read-back.ts',
    from: 'sinks/target/copy-upsert.ts',
    what: 'Reads the rows back from the target: sums, digest, and the row of each key.',
  },
  {
    file: 'ledger/target-row.ts',
    from: 'jobs/load/load-chunk.ts',
    what: 'Claims the row of the target for the key, so that no other key shares it.',
  },
  {
    file: 'jobs/load/load-outcomes.ts',
    from: 'jobs/load/load-chunk.ts',
    what: 'Says what became of the key: loaded, or refused by Postgres.',
  },
  {
    file: 'ledger/attempt.ts',
    from: 'jobs/load/load-chunk.ts',
    what: 'Records that, with its amounts and its failure, before the same COMMIT.',
  },
  {
    file: 'jobs/run/close-run.ts',
    from: 'jobs/run/execute.ts',
    what: 'Closes the run in one transaction: figures, report, verdict.',
  },
  {
    file: 'report/build.ts',
    from: 'jobs/run/close-run.ts',
    what: 'Builds the report from what the ledger says of each key.',
  },
  {
    file: 'report/books.ts',
    from: 'report/build.ts',
    what: 'Checks that the key is counted exactly once; ledger/books/ counts.',
  },
  {
    file: 'report/controls.ts',
    from: 'report/build.ts',
    what: 'Compares the counts and sums with what the source said.',
  },
  {
    file: 'report/store.ts',
    from: 'jobs/run/close-run.ts',
    what: 'Stores the report; the key is in it by its count, and by name if it failed.',
  },
];
