import type { QuotaFigures } from '../../resilience/quota.ts';
import type { Api } from '../../sources/api/api.ts';
import type { Job } from '../job.ts';
import { StopReason } from '../run/stop-reason.ts';

interface QuotaContext {
  job: Pick<Job, 'lookups' | 'contracts'>;
  apis: ReadonlyMap<string, Api>;
  /** How many contracts are worked on at once. */
  contracts: { concurrency: number };
}

/** Lets a chunk begin only when what it may ask for, with what has begun already, leaves the APIs' reserves alone. */
export class QuotaGate {
  readonly #context: QuotaContext;
  readonly #apis: readonly Api[];

  constructor(context: QuotaContext) {
    this.#context = context;
    this.#apis = [...context.apis.values()].filter(({ quota }) => quota);
  }

  /** Whether `contracts` more may begin beside `open` others. Until an API has told its quota, one chunk at a time. */
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
      needed: `another chunk takes up to ${this.#mostRequests(api, contracts)}`,
      hopeless: this.#mostRequests(api, contracts) > figures.of - figures.reserved,
    });
  }

  /** At most, if no two contracts ask for the same; with as many repeats as there were so far. */
  #mostRequests(api: Api, contracts: number): number {
    const { job, apis, contracts: workers } = this.#context;
    const { requests, retries } = api.statistics();
    // Several of a job's APIs may be one to its owner.
    const lookups = job.lookups.filter((lookup) => {
      const asked = apis.get(lookup.api)!;
      return asked.quota && asked.origin === api.origin;
    });
    // A batch holds no more contracts than are worked on at once.
    const inBatches = lookups.map(({ batch }) =>
      Math.ceil(contracts / Math.min(batch?.size ?? 1, workers.concurrency)),
    );
    const attempts = requests === 0 ? 1 : requests / Math.max(1, requests - retries);
    return Math.ceil(inBatches.reduce((sum, count) => sum + count, 0) * attempts);
  }
}

/** Why the contracts are not even listed: the listing's API has nothing left but its reserve. Undefined when it has. */
export function listingObstacle({ job, apis }: Pick<QuotaContext, 'job' | 'apis'>): StopReason | undefined {
  const api = apis.get(job.contracts.api)!;
  const figures = api.quota?.figures;
  return figures?.spendable === 0 ? quotaReason(api, figures, { needed: 'the listing takes at least 1' }) : undefined;
}

function quotaReason(
  { name }: Api,
  { used, of, period, reserved, renewsAt }: QuotaFigures,
  { needed, hopeless = false }: { needed: string; hopeless?: boolean },
): StopReason {
  const advice = hopeless ? ', more than a whole day allows: give chunk.size a lower value' : '';
  return new StopReason(
    'QUOTA',
    `API "${name}" has used ${used} of its ${of} requests for ${period} and leaves ${reserved} to others; ${needed}${advice}; the quota renews at ${new Date(renewsAt).toISOString()}`,
    { after: new Date(renewsAt) },
  );
}
