import pg from 'pg';
import type { Marking } from '../../report/figures.ts';
import { DatabaseError, databaseError } from '../../sinks/postgres/database-error.ts';
import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { qualifiedName } from '../../sinks/target/target-table.ts';
import { summedColumns } from './amounts.ts';
import { isRememberedRow, rememberedTarget } from '../../ledger/loaded-row.ts';
import type { RunContext } from '../run/run-context.ts';

type MarkContext = Pick<RunContext, 'job' | 'instance' | 'businessDate' | 'target' | 'dryRun'>;

/**
 * Marks the rows of contracts that this job loaded and that this night's listing, proven complete, does not have; gives
 * what is marked now, and why nothing more was. Null for jobs that keep, samples and dry runs. Call it in a transaction
 * under the lease, before the instance is completed. Done again it changes nothing: a mark keeps its first date.
 */
export async function markMissing(client: Queryable, context: MarkContext): Promise<Marking | null> {
  const { job, target, dryRun, businessDate } = context;
  if (!target.marked || dryRun) return null;
  const night = await readNight(client, context);
  if (night.purpose !== 'night') return null;
  await gatherKnown(client, context);
  const unproven = whyUnproven(night);
  const gone = unproven === null ? await countGone(client, context) : { due: 0, fresh: 0, staying: 0 };
  const tooMany = whyTooMany(gone, job.load.markAtMost);
  const refused = unproven ?? tooMany ?? (gone.due > 0 ? await mark(client, context) : null);
  const { rows } = await client.query<{ contracts: number; tonight: number; marked: number }>(
    `SELECT count(*)::integer AS contracts, count(*) FILTER (WHERE missing_since = $1)::integer AS tonight,
       count(*) FILTER (WHERE NOT listed)::integer AS marked
     FROM ${knownRows(context)} WHERE missing_since IS NOT NULL`,
    [businessDate],
  );
  const { contracts, tonight, marked } = rows[0]!;
  return {
    contracts,
    tonight,
    amounts: await readAmounts(client, context),
    reason: refused,
    control: unproven === null ? { expected: gone.due, actual: marked } : null,
  };
}

interface Night {
  purpose: string;
  planned: boolean;
  /** As text: the source may say any number. */
  total: string | null;
  totalChanged: boolean;
  listed: number;
  duplicates: number;
  /** Records of the listing without a usable key. */
  nameless: number;
  /** The date of a later night, or of a later generation of this one. */
  later: string | null;
  /** `commit: run`: its rows are not in the target yet. */
  heldBack: boolean;
}

async function readNight(client: Queryable, { instance }: MarkContext): Promise<Night> {
  const { rows } = await client.query<Night>(
    `SELECT purpose, status <> 'planning' AS planned, source_total::text AS total, total_changed AS "totalChanged", listed, duplicates,
       (SELECT count(*) FROM nightfill.contract
        WHERE instance = this.id AND problem IS NOT NULL AND key LIKE '(record % of the listing)')::integer AS nameless,
       (SELECT to_char(max(business_date), 'YYYY-MM-DD') FROM nightfill.instance AS other
        WHERE other.job = this.job AND other.purpose = 'night'
          AND (other.business_date, other.generation) > (this.business_date, this.generation)) AS later,
       EXISTS (SELECT FROM nightfill.staged WHERE staged.instance = this.id) AS "heldBack"
     FROM nightfill.instance AS this WHERE id = $1`,
    [instance],
  );
  return rows[0]!;
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
}: Night): string | null {
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

interface Gone {
  /** Rows whose contract is not listed any more. */
  due: number;
  /** Of them those that no earlier night has marked. */
  fresh: number;
  /** Known before, and listed. */
  staying: number;
}

/** A source that answers wrongly, and agrees with itself, loses most contracts at once. */
function whyTooMany({ fresh, staying }: Gone, atMost: number): string | null {
  const before = fresh + staying;
  if (fresh <= before * atMost) return null;
  const share = `${+(atMost * 100).toFixed(4)}%`;
  return `${fresh} of ${before} contracts known before are gone at once, and load.markAtMost is ${share}; if they really are, raise it and run --again`;
}

/**
 * Stores for this transaction which rows are this job's own, and whether any of their contracts is listed: by this plan,
 * or by one begun later, such as a sample's.
 */
async function gatherKnown(client: Queryable, { job, instance, target }: MarkContext): Promise<void> {
  await client.query(
    `CREATE TEMPORARY TABLE nightfill_known (row_key jsonb, listed boolean, before boolean) ON COMMIT DROP`,
  );
  await client.query(
    // EXISTS looks each key up in the index. A join of two tables whose statistics are of yesterday, or of never, is taken
    // for one of a few rows, and compares each with each.
    `INSERT INTO pg_temp.nightfill_known
     SELECT row_key, bool_or(listed), bool_or(before) FROM (
       SELECT row_key, first_instance <> $2 AS before, EXISTS (
           SELECT FROM nightfill.contract WHERE contract.key = loaded_row.contract AND contract.instance = ANY (ARRAY (
             SELECT id FROM nightfill.instance
             WHERE job = $1 AND (id = $2 OR created_at > (SELECT created_at FROM nightfill.instance WHERE id = $2))))
         ) AS listed
       FROM nightfill.loaded_row WHERE job = $1 AND target = $3
     ) AS known GROUP BY row_key`,
    [job.name, instance, rememberedTarget(target)],
  );
}

const knownRows = ({ target }: MarkContext): string =>
  `pg_temp.nightfill_known AS known JOIN ${qualifiedName(target)} AS t ON ${isRememberedRow(target, 't', 'known.row_key')}`;

async function countGone(client: Queryable, context: MarkContext): Promise<Gone> {
  const { rows } = await client.query<Gone>(
    `SELECT count(*)::integer AS due,
       count(*) FILTER (WHERE missing_since IS NULL OR missing_since = $1)::integer AS fresh,
       (SELECT count(*) FROM pg_temp.nightfill_known WHERE listed AND before)::integer AS staying
     FROM ${knownRows(context)} WHERE NOT listed`,
    [context.businessDate],
  );
  return rows[0]!;
}

/** Marks; gives Postgres's reason when it refuses for good, as for a trigger of the table that raises an error. */
async function mark(client: Queryable, { target, businessDate }: MarkContext): Promise<string | null> {
  await client.query('SAVEPOINT nightfill_mark');
  try {
    await client.query(
      `UPDATE ${qualifiedName(target)} AS t SET missing_since = $1 FROM pg_temp.nightfill_known AS known
       WHERE NOT known.listed AND t.missing_since IS NULL AND ${isRememberedRow(target, 't', 'known.row_key')}`,
      [businessDate],
    );
    // Deferred constraints would fail at COMMIT, and the whole closing with them.
    await client.query('SET CONSTRAINTS ALL IMMEDIATE');
    return null;
  } catch (error) {
    const known = databaseError(error);
    if (!(known instanceof DatabaseError) || known.class === 'transient') throw error;
    await client.query('ROLLBACK TO nightfill_mark');
    return known.message;
  }
}

/** The money that stands on marked rows, per summed column and currency. */
async function readAmounts(client: Queryable, context: MarkContext): Promise<Marking['amounts']> {
  const sums = summedColumns(context.job).map(({ column, by }, position) => {
    const [amount, currency] = [column, by].map((name) => name && `t.${pg.escapeIdentifier(name)}`);
    return `SELECT ${position} AS position, ${pg.escapeLiteral(column)} AS "column", ${currency ? `${currency}::text` : 'NULL'} AS currency,
              sum(${amount}::numeric)::text AS amount
            FROM ${knownRows(context)} WHERE missing_since IS NOT NULL AND ${amount} IS NOT NULL GROUP BY 3`;
  });
  if (sums.length === 0) return [];
  const { rows } = await client.query<Marking['amounts'][number]>(
    `SELECT "column", currency, amount FROM (${sums.join(' UNION ALL ')}) AS sums
     ORDER BY position, currency COLLATE "C" NULLS LAST`,
  );
  return rows;
}
