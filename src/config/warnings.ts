import type { Problem } from './job-file-error.ts';
import type { JobFileSource } from './job-file-source.ts';
import type { Outline } from './outline.ts';
import { defaults } from './defaults.ts';
import { isLoopback } from './url.ts';

/** What is allowed and probably not meant, in a file without problems. */
export function warnings({ apis }: Outline, source: JobFileSource): Problem[] {
  return Object.entries(apis).flatMap(([name, { baseUrl = '', auth, limits, connections }]) => {
    const found: Problem[] = [];
    const { concurrency = defaults.concurrency } = limits;
    if (connections !== undefined && connections < concurrency) {
      const message = `${connections} connections for ${concurrency} requests in flight: the others wait for a socket while their timeout runs; give at least ${concurrency}`;
      found.push(source.locate(['apis', name, 'connections'], message));
    }
    const sendsSecret = auth['type'] !== undefined && auth['type'] !== 'none';
    if (sendsSecret && /^http:/i.test(baseUrl) && !isLoopback(baseUrl)) {
      found.push(source.locate(['apis', name, 'baseUrl'], 'credentials travel unencrypted over http; use https'));
    }
    return found;
  });
}
