import {
  countGone,
  countMarked,
  findKnownRows,
  mark,
  readListingFacts,
  readMarkedAmounts,
  type GoneContracts,
  type ListingFacts,
} from '../../ledger/missing.ts';
import type { Marking } from '../../report/figures.ts';
import type { Queryable } from '../../sinks/postgres/postgres.ts';
import type { TargetTable } from '../../sinks/target/target-table.ts';
import type { Job } from '../job.ts';
import { summedColumns } from './amounts.ts';

interface MarkContext {
  job: Job;
  instance: string;
  businessDate: string;
  target: TargetTable;
  dryRun: boolean;
}

/**
 * Marks the rows that this job loaded whose contracts are not in this night's listing, if the listing is proven complete;
 * gives what is marked now, and the reason if marking was refused. Null for `missing: keep`, samples and dry runs. Call it
 * in a transaction under the lease, before the instance is completed. Repeating it changes nothing: a mark keeps its date.
 */
export async function markMissing(client: Queryable, context: MarkContext): Promise<Marking | null> {
  const { job, target, dryRun, businessDate } = context;
  if (!target.marked || dryRun) return null;
  const night = { job: job.name, instance: context.instance, businessDate, target };
  const listing = await readListingFacts(client, night.instance);
  if (listing.purpose !== 'night') return null;
  await findKnownRows(client, night);
  const unproven = whyUnproven(listing);
  const gone = unproven === null ? await countGone(client, night) : { due: 0, fresh: 0, staying: 0 };
  const tooMany = whyTooMany(gone, job.load.markAtMost);
  const refused = unproven ?? tooMany ?? (gone.due > 0 ? await mark(client, night) : null);
  const { contracts, tonight, marked } = await countMarked(client, night);
  return {
    contracts,
    tonight,
    amounts: await readMarkedAmounts(client, { ...night, sums: summedColumns(job) }),
    reason: refused,
    control: unproven === null ? { expected: gone.due, actual: marked } : null,
  };
}

/** Why the listing is not proven complete, so that a contract outside the plan may still exist; null when it is proven. */
function whyUnproven({
  planned,
  total,
  totalChanged,
  listed,
  duplicates,
  nameless,
  later,
  heldBack,
}: ListingFacts): string | null {
  if (!planned) return 'the listing was cut off';
  if (later !== null) return `the night of ${later} has already begun, and this listing is older`;
  if (total === null) return 'the source gave no count of its own';
  if (Number(total) !== listed + duplicates)
    return `the source counts ${total} contracts, and ${listed + duplicates} records were listed`;
  if (totalChanged) return "the source's count changed during the listing";
  // Pages that shift while they are read show one record twice and skip another, and the count still agrees.
  if (duplicates > 0)
    return `${duplicates} of the records listed came twice; pages may have shifted while they were read, so others may be missing`;
  if (heldBack) return 'the rows of this night are held back, so nothing is marked yet';
  if (nameless > 0)
    return `${nameless} of the records listed have no usable key, and may belong to contracts known before`;
  return null;
}

/** Guards against a source that is wrong and consistent, such as an empty list with a total of 0: most contracts are gone. */
function whyTooMany({ fresh, staying }: GoneContracts, atMost: number): string | null {
  const before = fresh + staying;
  if (fresh <= before * atMost) return null;
  const share = `${+(atMost * 100).toFixed(4)}%`;
  return `${fresh} of ${before} contracts known before are no longer listed, and load.markAtMost allows ${share}; if that is right, raise it and run --again`;
}
