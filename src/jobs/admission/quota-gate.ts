import type { QuotaFigures } from '../../resilience/quota.ts';
import type { Api } from '../../sources/api/api.ts';
import type { Job } from '../job.ts';
import { StopReason } from '../run/stop-reason.ts';

interface QuotaContext {
  job: Pick<Job, 'lookups' | 'contracts'>;
  apis: ReadonlyMap<string, Api>;
  /** `concurrency` is how many contracts are worked on at once. */
  contracts: { concurrency: number };
}

/** Admits a chunk only if its requests, with those of the chunks in progress, cannot use the APIs' reserves. */
export class QuotaGate {
  readonly #context: QuotaContext;
  readonly #apis: readonly Api[];

  constructor(context: QuotaContext) {
    this.#context = context;
    this.#apis = [...context.apis.values()].filter(({ quota }) => quota);
  }

  /** Whether `contracts` more may begin while `open` others are. One chunk at a time until an API has announced its quota. */
  allows(contracts: number, { open }: { open: number }): boolean {
    return this.#apis.every((api) => {
      const needed = this.#mostRequests(api, contracts + open);
      if (needed === 0) return true;
      const figures = api.quota!.figures;
      return figures ? needed <= figures.spendable : open === 0;
    });
  }

  /** Why `contracts` more may not begin when nothing else is open. */
  reason(contracts: number): StopReason {
    const api = this.#apis.find(
      (one) => this.#mostRequests(one, contracts) > (one.quota!.figures?.spendable ?? Infinity),
    )!;
    const figures = api.quota!.figures!;
    return quotaReason(api, figures, {
      needed: `another chunk needs up to ${this.#mostRequests(api, contracts)}`,
      hopeless: this.#mostRequests(api, contracts) > figures.of - figures.reserved,
    });
  }

  /** The most requests for so many contracts: no two equal, and repeated as often as requests were so far. */
  #mostRequests(api: Api, contracts: number): number {
    const { job, apis, contracts: workers } = this.#context;
    const { requests, retries } = api.statistics();
    // Several APIs of a job may have the same origin, and so share a quota.
    const lookups = job.lookups.filter((lookup) => {
      const asked = apis.get(lookup.api)!;
      return asked.quota && asked.origin === api.origin;
    });
    // A batch cannot hold more contracts than are worked on at once.
    const inBatches = lookups.map(({ batch }) =>
      Math.ceil(contracts / Math.min(batch?.size ?? 1, workers.concurrency)),
    );
    const attempts = requests === 0 ? 1 : requests / Math.max(1, requests - retries);
    return Math.ceil(inBatches.reduce((sum, count) => sum + count, 0) * attempts);
  }
}

/** Why the listing cannot start: its API's quota is used up except for the reserve. Undefined when it can. */
export function listingObstacle({ job, apis }: Pick<QuotaContext, 'job' | 'apis'>): StopReason | undefined {
  const api = apis.get(job.contracts.api)!;
  const figures = api.quota?.figures;
  return figures?.spendable === 0 ? quotaReason(api, figures, { needed: 'the listing needs at least 1' }) : undefined;
}

function quotaReason(
  { name }: Api,
  { used, of, period, reserved, renewsAt }: QuotaFigures,
  { needed, hopeless = false }: { needed: string; hopeless?: boolean },
): StopReason {
  const advice = hopeless ? ', more than a whole day allows, so lower chunk.size' : '';
  return new StopReason(
    'QUOTA',
    `the quota of API "${name}" for ${period} is ${of} requests: ${used} are used, and ${reserved} are reserved for others; ${needed}${advice}; it renews at ${new Date(renewsAt).toISOString()}`,
    { after: new Date(renewsAt) },
  );
}
