import type { ClientForCopy, Database, LendOptions } from '../../src/sinks/postgres/postgres.ts';
import { CommitInDoubtError } from '../../src/sinks/postgres/postgres.ts';

/** What befalls the transaction whose number is `at`, counted from 1. */
export interface Fault {
  at: number;
  /**
   * - `killed-before`, `killed-after`: the process dies before its COMMIT, or after it: nothing reaches the database any more
   * - `doubt-lost`, `doubt-committed`: the answer to COMMIT is lost, and it was rolled back, or committed
   */
  kind: 'killed-before' | 'killed-after' | 'doubt-lost' | 'doubt-committed';
}

/** What a dead process would see, if it could. */
export class KilledError extends Error {}

/** The database, with one transaction that ends as `fault` says. */
export function faultyDatabase(database: Database, fault: Fault | undefined): Database {
  let transactions = 0;
  let dead = false;
  const alive = (): void => {
    if (dead) throw new KilledError('killed');
  };
  const withTransaction = async <T>(task: (client: ClientForCopy) => Promise<T>, o?: LendOptions): Promise<T> => {
    alive();
    transactions += 1;
    if (transactions !== fault?.at) return database.withTransaction(task, o);
    const { kind } = fault;
    const committed = kind === 'killed-after' || kind === 'doubt-committed';
    await database
      .withTransaction(async (client) => {
        await task(client);
        if (!committed) throw new NotCommitted();
      }, o)
      .catch((error: unknown) => {
        if (!(error instanceof NotCommitted)) throw error;
      });
    if (kind === 'doubt-lost' || kind === 'doubt-committed') throw new CommitInDoubtError(new Error('cut'));
    dead = true;
    throw new KilledError('killed');
  };
  return new Proxy(database, {
    get(target, name) {
      if (name === 'withTransaction') return withTransaction;
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return async (...given: unknown[]): Promise<unknown> => {
        if (dead) return Promise.reject(new KilledError('killed'));
        return (value as (...of: unknown[]) => Promise<unknown>).apply(target, given);
      };
    },
  });
}

class NotCommitted extends Error {}
