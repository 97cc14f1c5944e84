import type { Queryable } from '../sinks/postgres/postgres.ts';

/** Says of every chunk that is still not started why the run left it, and from when on it makes sense to try again. */
export async function explainNotStarted(
  database: Queryable,
  o: {
    instance: string;
    token: string;
    /** Those that the run was to work on; all when undefined. */
    chunks: readonly number[] | undefined;
    reason: string;
    after: Date | undefined;
  },
): Promise<void> {
  await database.query(
    `UPDATE nightfill.chunk SET reason = $4, retry_after = $5
     WHERE instance = $1 AND lease = $2 AND status = 'not-started' AND ($3::integer[] IS NULL OR number = ANY ($3))`,
    [o.instance, o.token, o.chunks ?? null, o.reason, o.after ?? null],
  );
}
