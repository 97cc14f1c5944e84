import type { Json } from '../../sources/json/exact-json.ts';
import { getPath } from '../../sources/json/json-path.ts';
import { renderTemplate, templatePaths, type Resolve } from '../../sources/json/template.ts';
import type { Job, Lookup } from '../job.ts';
import type { PlannedContract } from '../../ledger/planned-contract.ts';
import { dateScope } from '../plan/date-scope.ts';

/**
 * An upper bound of the requests for the contracts' lookups: equal ones count once, and batches are as full as possible. A
 * lookup that needs another's answer counts for every contract, although many may turn out to be equal.
 */
export class ExpectedRequests {
  readonly #job: Pick<Job, 'lookups'>;
  readonly #businessDate: string;
  /** Contracts that are worked on at once; a batch cannot hold more. */
  readonly #atOnce: number;
  readonly #distinct: Map<string, Set<string>>;

  constructor(job: Pick<Job, 'lookups'>, { businessDate, atOnce }: { businessDate: string; atOnce: number }) {
    this.#job = job;
    this.#businessDate = businessDate;
    this.#atOnce = atOnce;
    this.#distinct = new Map(job.lookups.map(({ name }) => [name, new Set<string>()]));
  }

  add(contract: PlannedContract): void {
    if (contract.problem !== null) return;
    for (const lookup of this.#job.lookups)
      this.#distinct
        .get(lookup.name)!
        .add(addressOf(lookup, { contract, businessDate: this.#businessDate }) ?? ` ${contract.key}`);
  }

  /** The bound for all lookups at an API. */
  at(api: string): number {
    return this.#job.lookups
      .filter((lookup) => lookup.api === api)
      .reduce((sum, { name, batch }) => {
        const different = this.#distinct.get(name)!.size;
        return sum + (batch ? Math.ceil(different / Math.min(batch.size, this.#atOnce)) : different);
      }, 0);
  }
}

/** The address of a contract's lookup; undefined when it depends on another lookup's answer. */
function addressOf(
  { path, query, batch }: Lookup,
  { contract, businessDate }: { contract: PlannedContract; businessDate: string },
): string | undefined {
  const templates = [path, ...Object.values(query)];
  const known = new Set<string | number>(['key', 'listed', 'businessDate', 'businessMonth']);
  if (!templates.every((template) => templatePaths(template).every(([root]) => known.has(root!)))) return undefined;
  const dates = dateScope(businessDate);
  const resolve: Resolve = (at): Json | undefined =>
    at[0] === 'key' ? contract.key : at[0] === 'listed' ? getPath(contract.listed, at.slice(1)) : dates(at);
  const ownId = batch && query[batch.param] === undefined ? [contract.key] : [];
  try {
    return [...templates.map((template) => renderTemplate(template, resolve)), ...ownId].join(' ');
  } catch {
    // A missing value fails the contract without a request.
    return undefined;
  }
}
