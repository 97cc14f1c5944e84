import { compileCache } from './compile-cache.ts';
import { startCluster, type TestCluster } from './cluster.ts';

let cluster: TestCluster | undefined;

/** One cluster for the whole test run; the test processes inherit its address (see database.ts). */
export async function globalSetup(): Promise<void> {
  // Each of a hundred test processes would compile the sources anew.
  process.env['NODE_COMPILE_CACHE'] ??= compileCache;
  cluster = await startCluster();
  process.env['NIGHTFILL_TEST_CLUSTER'] = cluster.url;
}

export async function globalTeardown(): Promise<void> {
  await cluster?.[Symbol.asyncDispose]();
}
