import type { RecordedRequest, Script, ScriptedAnswer } from '../../test/support/scripted-server.ts';
import { mostWithin } from '../../test/support/strict-server.ts';

/** A night that goes badly at the server. */
export type HardNight = { name: string; starts?: number } & (
  | { demo: string[] }
  | {
      demo?: undefined;
      /** Anew for each run: it counts what it was asked. */
      script: () => Script;
      job: (origin: string) => object;
      /** Of the command line. */
      options?: () => string[];
      /** What the server can say of it. */
      seen?: (requests: readonly RecordedRequest[]) => string[];
    }
);

/** A job with the defaults of every job, but for what the night is about. */
function job(
  origin: string,
  { api, contracts, ...rest }: { api?: object; contracts?: object; [part: string]: unknown } = {},
) {
  return {
    name: 'hard',
    apis: {
      crm: {
        type: 'rest',
        baseUrl: origin,
        auth: { type: 'bearer', token: { env: 'CRM_TOKEN' } },
        limits: { concurrency: 50 },
        ...api,
      },
    },
    contracts: { api: 'crm', path: '/contracts', records: 'data', key: 'id', ...contracts },
    lookups: { contract: { api: 'crm', path: '/contracts/{key}' } },
    load: { table: 'hard', key: ['id'], columns: { id: { from: 'contract.id', type: 'text' } } },
    chunk: { size: 50 },
    ...rest,
  };
}

const records = (count: number): { id: string }[] =>
  Array.from({ length: count }, (_, index) => ({ id: `k${index + 1}` }));
const seconds = (count: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, 1_000 * count);
  });
const isLookup = ({ url }: Pick<RecordedRequest, 'url'>): boolean => url.startsWith('/contracts/');
const tooMany = (retryAfter?: number): ScriptedAnswer => ({
  status: 429,
  json: {},
  ...(retryAfter !== undefined && { headers: { 'retry-after': String(retryAfter) } }),
});
/** One page with all contracts, and each of them. */
const ordinaryAnswer = ({ url }: Pick<RecordedRequest, 'url'>, count: number): ScriptedAnswer =>
  isLookup({ url }) ? { json: { id: url.slice('/contracts/'.length) } } : { json: { data: records(count) } };
const inFrom = (ms: number): string => new Date(Date.now() + ms).toISOString();
const refused = (requests: readonly RecordedRequest[], limit: number): string =>
  `${requests.length - limit} requests too many`;

/** Answers as it should after 20 ms, but for the requests that `odd` answers. */
function mostlyWell(
  count: number,
  odd: (request: RecordedRequest, lookup: number) => ScriptedAnswer | undefined,
): Script {
  let lookups = 0;
  return async (request) => {
    if (isLookup(request)) lookups += 1;
    const answer = isLookup(request) ? odd(request, lookups) : undefined;
    await seconds(0.02);
    return answer ?? ordinaryAnswer(request, count);
  };
}

export const hardNights: readonly HardNight[] = [
  {
    name: 'a 429 with epoch milliseconds as `Retry-After`, given twice, 300 contracts, started twice',
    starts: 2,
    script() {
      let given = 0;
      return mostlyWell(300, ({ url }) =>
        url === '/contracts/k60' && (given += 1) <= 2 ? tooMany(Date.now()) : undefined,
      );
    },
    job: (origin) => job(origin),
  },
  {
    name: 'one 429 with `Retry-After: 5` where a request waits 2 s at most, 600 contracts, time enough',
    script: () => mostlyWell(600, (_, lookup) => (lookup === 100 ? tooMany(5) : undefined)),
    job: (origin) => job(origin, { api: { retry: { maxElapsed: '2s' } } }),
    options: () => ['--finish-by', inFrom(120_000)],
  },
  {
    name: 'one 429 with `Retry-After: 600`, 600 contracts, 30 s left',
    script: () => mostlyWell(600, (_, lookup) => (lookup === 100 ? tooMany(600) : undefined)),
    job: (origin) => job(origin),
    options: () => ['--finish-by', inFrom(30_000)],
  },
  ...['0%', '1%', '3%'].map((share): HardNight => ({
    name: `demo of 1,000 contracts, ${share} of them dead`,
    demo: ['--contracts', '1000', '--faults', `dead=${share}`],
  })),
  {
    name: 'the token server answers 429 with `Retry-After: 5` for 5 s in the middle of 300 contracts',
    script() {
      let restUntil = 0;
      let tokens = 0;
      const ordinary = mostlyWell(300, () => undefined);
      return (request, raw) => {
        if (request.url !== '/token') return ordinary(request, raw);
        if (performance.now() < restUntil) return tooMany(5);
        tokens += 1;
        if (tokens === 2 && restUntil === 0) {
          restUntil = performance.now() + 5_000;
          tokens = 1;
          return tooMany(5);
        }
        return { json: { access_token: `t${tokens}`, token_type: 'Bearer', expires_in: tokens === 1 ? 1 : 3_600 } };
      };
    },
    job: (origin) =>
      job(origin, {
        api: {
          auth: { type: 'oauth2', tokenUrl: `${origin}/token`, clientId: 'hard', clientSecret: { env: 'CRM_SECRET' } },
          limits: { concurrency: 50, rates: [{ requests: 100, per: '1s' }] },
        },
      }),
    seen(requests) {
      const tokens = requests.filter(({ url }) => url === '/token').map(({ at }) => at);
      return [`${tokens.length} requests for a token, ${mostWithin(tokens, 1_000)} within a second`];
    },
  },
  {
    name: 'the server allows 5 at once, the job says 50, 300 contracts',
    script() {
      let running = 0;
      return async (request) => {
        if (!isLookup(request)) return ordinaryAnswer(request, 300);
        if (running >= 5) return tooMany();
        running += 1;
        await seconds(0.1);
        running -= 1;
        return ordinaryAnswer(request, 300);
      };
    },
    job: (origin) => job(origin),
    seen: (requests) => [refused(requests, 301)],
  },
  {
    name: '60 contracts at 10 a second, each 503 once, where a request waits 2 s at most',
    script() {
      const asked = new Set<string>();
      return mostlyWell(60, ({ url }) => {
        if (asked.has(url)) return undefined;
        asked.add(url);
        return { status: 503, json: {} };
      });
    },
    job: (origin) =>
      job(origin, {
        api: { limits: { concurrency: 50, rates: [{ requests: 10, per: '1s' }] }, retry: { maxElapsed: '2s' } },
      }),
  },
  {
    name: 'one 401 among 300 contracts',
    script: () => mostlyWell(300, ({ url }) => (url === '/contracts/k150' ? { status: 401, json: {} } : undefined)),
    job: (origin) => job(origin),
  },
  {
    name: 'the job asks 20 a second, the server allows 10 and answers 429 with `Retry-After: 1`, 100 contracts on 20 pages',
    script() {
      const all = records(100);
      const arrivals: number[] = [];
      return ({ url, at }) => {
        while (arrivals.length > 0 && at - arrivals[0]! >= 1_000) arrivals.shift();
        if (arrivals.length >= 10) return tooMany(1);
        arrivals.push(at);
        if (isLookup({ url })) return { json: { id: url.slice('/contracts/'.length) } };
        const page = Number(/after=(\d+)/.exec(url)?.[1] ?? 0);
        return { json: { data: all.slice(5 * page, 5 * page + 5), next: page < 19 ? String(page + 1) : null } };
      };
    },
    job: (origin) =>
      job(origin, {
        api: { limits: { concurrency: 50, rates: [{ requests: 20, per: '1s' }] } },
        contracts: { paginate: { type: 'cursor', next: 'next', param: 'after' } },
        chunk: { size: 5 },
      }),
    seen: (requests) => [refused(requests, 120)],
  },
];
