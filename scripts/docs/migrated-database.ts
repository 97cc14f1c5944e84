import { migrate } from '../../src/ledger/migrations.ts';
import { Database } from '../../src/sinks/postgres/postgres.ts';
import { startCluster } from '../../test/support/cluster.ts';

/** Lends a database of its own that the migrations were applied to, and throws it away. */
export async function withMigratedDatabase<T>(task: (database: Database) => Promise<T>): Promise<T> {
  await using cluster = await startCluster();
  await using database = await Database.open({
    config: { connectionString: cluster.url },
    description: 'the database of npm run docs',
  });
  await migrate(database);
  return await task(database);
}
