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
 * Marks the rows of contracts that this job loaded and that this night's listing, proven complete, does not have; gives
 * what is marked now, and why nothing more was. Null for jobs that keep, samples and dry runs. Call it in a transaction
 * under the lease, before the instance is completed. Done again it changes nothing: a mark keeps its first date.
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

/** Why a contract that the plan does not have may be listed all the same; null when it cannot. */
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
  if (later !== null) return `the night of ${later} was begun already, and this listing is older`;
  if (total === null) return 'the source gave no count of its own';
  if (Number(total) !== listed + duplicates)
    return `the source counts ${total} contracts, and ${listed + duplicates} records were listed`;
  if (totalChanged) return "the source's count changed while it was listed";
  // Pages that shift while they are read show one record twice and pass over another, and the count still agrees.
  if (duplicates > 0)
    return `${duplicates} of the records listed came twice, as when pages shift while they are read, and others may have been passed over`;
  if (heldBack) return 'the night is held back, and its marks with it';
  if (nameless > 0) return `${nameless} of the records listed have no usable key, and may be of contracts known before`;
  return null;
}

/** A source that answers wrongly, and agrees with itself, loses most contracts at once. */
function whyTooMany({ fresh, staying }: GoneContracts, atMost: number): string | null {
  const before = fresh + staying;
  if (fresh <= before * atMost) return null;
  const share = `${+(atMost * 100).toFixed(4)}%`;
  return `${fresh} of ${before} contracts known before are gone at once, and load.markAtMost is ${share}; if they really are, raise it and run --again`;
}
