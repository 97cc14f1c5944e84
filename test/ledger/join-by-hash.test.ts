import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinByHash } from '../../src/ledger/join-by-hash.ts';
import { buildReport } from '../../src/report/build.ts';
import type { Queryable } from '../../src/sinks/postgres/postgres.ts';
import { createDatabase } from '../support/database.ts';
import { seededFigures, seededReport } from '../support/seeded-figures.ts';
import { seedNights } from '../support/seeded-ledger.ts';

interface PlanNode {
  'Node Type': string;
  'Join Filter'?: string;
  'Rows Removed by Join Filter'?: number;
  Plans?: PlanNode[];
}

const nodesOf = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)];

test('the report of a night without statistics compares no table each row with each', async (t) => {
  const { database } = await createDatabase(t);
  await database.query(`ALTER TABLE nightfill.contract_amount SET (autovacuum_enabled = off);
    ALTER TABLE nightfill.failure SET (autovacuum_enabled = off); ALTER TABLE nightfill.contract SET (autovacuum_enabled = off)`);
  const night = { contracts: 2_000, chunkSize: 100, figures: seededFigures, report: seededReport };
  await seedNights(database, { ...night, date: '2026-11-19' });
  const [seeded] = await seedNights(database, { ...night, failedEvery: 10, staleEvery: 7, notStartedFrom: 19 });
  /** Pairs of rows that were compared in vain. */
  const compared = async (prepare: (client: Queryable) => Promise<void>): Promise<number> =>
    database.withTransaction(async (client) => {
      let pairs = 0;
      const explaining: Queryable = {
        query: async (text, values) => {
          const { rows } = await client.query<{ 'QUERY PLAN': { Plan: PlanNode }[] }>(
            `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`,
            values,
          );
          for (const node of nodesOf(rows[0]!['QUERY PLAN'][0]!.Plan))
            pairs += node['Rows Removed by Join Filter'] ?? 0;
          return client.query(text, values);
        },
      };
      await prepare(client);
      await buildReport(explaining, seeded!.run);
      return pairs;
    });
  assert.ok((await compared(async () => Promise.resolve())) > 100_000, 'left alone Postgres does');
  const pairs = await compared(joinByHash);
  assert.ok(pairs < 10_000, `${pairs} pairs of rows were compared in vain`);
});
