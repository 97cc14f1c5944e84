import pg from 'pg';
import { DatabaseError, databaseError } from '../sinks/postgres/database-error.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { qualifiedName, type TargetTable } from '../sinks/target/target-table.ts';
import { isRememberedRow, rememberedTarget } from './loaded-row.ts';
import { isoDate } from './time-text.ts';

/** A night whose listing may prove that contracts are missing. */
interface Night {
  /** The job's name. */
  job: string;
  instance: string;
  businessDate: string;
  target: TargetTable;
}

/** What the ledger knows about a night's listing. */
export interface ListingFacts {
  purpose: string;
  planned: boolean;
  /** As text, because the source may send any number. */
  total: string | null;
  totalChanged: boolean;
  listed: number;
  duplicates: number;
  /** Records of the listing without a usable key. */
  nameless: number;
  /** Date of a later night of the job, or of a later generation of this one; null when there is none. */
  later: string | null;
  /** `commit: run`: rows of this night are not in the target yet. */
  heldBack: boolean;
}

export async function readListingFacts(client: Queryable, instance: string): Promise<ListingFacts> {
  const { rows } = await client.query<ListingFacts>(
    `SELECT purpose, status <> 'planning' AS planned, source_total::text AS total, total_changed AS "totalChanged", listed, duplicates,
       (SELECT count(*) FROM nightfill.contract
        WHERE instance = this.id AND problem IS NOT NULL AND key LIKE '(record % of the listing)')::integer AS nameless,
       (SELECT ${isoDate('max(business_date)')} FROM nightfill.instance AS other
        WHERE other.job = this.job AND other.purpose = 'night'
          AND (other.business_date, other.generation) > (this.business_date, this.generation)) AS later,
       EXISTS (SELECT FROM nightfill.staged WHERE staged.instance = this.id) AS "heldBack"
     FROM nightfill.instance AS this WHERE id = $1`,
    [instance],
  );
  return rows[0]!;
}

/** Counts of rows known to the ledger, for the decision whether to mark. */
export interface GoneContracts {
  /** Rows whose contract is no longer listed. */
  due: number;
  /** Those of `due` that no earlier night has marked. */
  fresh: number;
  /** Rows known before this night whose contract is listed. */
  staying: number;
}

/**
 * Collects in a temporary table the rows that this job loaded, and whether any of their contracts is listed by this plan
 * or by one begun later, such as a sample's.
 */
export async function findKnownRows(client: Queryable, { job, instance, target }: Night): Promise<void> {
  await client.query(
    `CREATE TEMPORARY TABLE nightfill_known (row_key jsonb, listed boolean, before boolean) ON COMMIT DROP`,
  );
  await client.query(
    // EXISTS looks each key up in the index. Without current statistics, the planner expects a join to have few rows, and
    // compares each row with each.
    `INSERT INTO pg_temp.nightfill_known
     SELECT row_key, bool_or(listed), bool_or(before) FROM (
       SELECT row_key, first_instance <> $2 AS before, EXISTS (
           SELECT FROM nightfill.contract WHERE contract.key = loaded_row.contract AND contract.instance = ANY (ARRAY (
             SELECT id FROM nightfill.instance
             WHERE job = $1 AND (id = $2 OR created_at > (SELECT created_at FROM nightfill.instance WHERE id = $2))))
         ) AS listed
       FROM nightfill.loaded_row WHERE job = $1 AND target = $3
     ) AS known GROUP BY row_key`,
    [job, instance, rememberedTarget(target)],
  );
}

const knownRows = ({ target }: Night): string =>
  `pg_temp.nightfill_known AS known JOIN ${qualifiedName(target)} AS t ON ${isRememberedRow(target, 't', 'known.row_key')}`;

export async function countGone(client: Queryable, night: Night): Promise<GoneContracts> {
  const { rows } = await client.query<GoneContracts>(
    `SELECT count(*)::integer AS due,
       count(*) FILTER (WHERE missing_since IS NULL OR missing_since = $1)::integer AS fresh,
       (SELECT count(*) FROM pg_temp.nightfill_known WHERE listed AND before)::integer AS staying
     FROM ${knownRows(night)} WHERE NOT listed`,
    [night.businessDate],
  );
  return rows[0]!;
}

/** Counts of marked rows: all, those marked tonight, and those whose contract is not listed. */
export async function countMarked(
  client: Queryable,
  night: Night,
): Promise<{ contracts: number; tonight: number; marked: number }> {
  const { rows } = await client.query<{ contracts: number; tonight: number; marked: number }>(
    `SELECT count(*)::integer AS contracts, count(*) FILTER (WHERE missing_since = $1)::integer AS tonight,
       count(*) FILTER (WHERE NOT listed)::integer AS marked
     FROM ${knownRows(night)} WHERE missing_since IS NOT NULL`,
    [night.businessDate],
  );
  return rows[0]!;
}

/** Marks the rows; gives Postgres's message when it refuses for a lasting reason, such as a trigger that raises an error. */
export async function mark(client: Queryable, { target, businessDate }: Night): Promise<string | null> {
  await client.query('SAVEPOINT nightfill_mark');
  try {
    await client.query(
      `UPDATE ${qualifiedName(target)} AS t SET missing_since = $1 FROM pg_temp.nightfill_known AS known
       WHERE NOT known.listed AND t.missing_since IS NULL AND ${isRememberedRow(target, 't', 'known.row_key')}`,
      [businessDate],
    );
    // Checked now, because a deferred constraint would fail the COMMIT that closes the run.
    await client.query('SET CONSTRAINTS ALL IMMEDIATE');
    return null;
  } catch (error) {
    const known = databaseError(error);
    if (!(known instanceof DatabaseError) || known.class === 'transient') throw error;
    await client.query('ROLLBACK TO nightfill_mark');
    return known.message;
  }
}

export interface MarkedAmount {
  column: string;
  currency: string | null;
  /** Decimal. */
  amount: string;
}

/** The sums of the marked rows, per summed column and currency. */
export async function readMarkedAmounts(
  client: Queryable,
  night: Night & { sums: readonly { column: string; by?: string }[] },
): Promise<MarkedAmount[]> {
  const sums = night.sums.map(({ column, by }, position) => {
    const [amount, currency] = [column, by].map((name) => name && `t.${pg.escapeIdentifier(name)}`);
    return `SELECT ${position} AS position, ${pg.escapeLiteral(column)} AS "column", ${currency ? `${currency}::text` : 'NULL'} AS currency,
              sum(${amount}::numeric)::text AS amount
            FROM ${knownRows(night)} WHERE missing_since IS NOT NULL AND ${amount} IS NOT NULL GROUP BY 3`;
  });
  if (sums.length === 0) return [];
  const { rows } = await client.query<MarkedAmount>(
    `SELECT "column", currency, amount FROM (${sums.join(' UNION ALL ')}) AS sums
     ORDER BY position, currency COLLATE "C" NULLS LAST`,
  );
  return rows;
}
