import type { Problem } from './job-file-error.ts';
import type { JobFileSource } from './job-file-source.ts';
import type { Outline } from './outline.ts';
import { defaults } from './defaults.ts';
import { isLoopback } from './url.ts';

/** What is allowed and probably not meant, in a file without problems. */
export function warnings(outline: Outline, source: JobFileSource): Problem[] {
  return [...apiWarnings(outline, source), ...controlWarnings(outline, source)];
}

/** A sum of what a transform makes has nothing that it could be held against, unless the column says where it came from. */
function controlWarnings({ controls, load, transform }: Outline, source: JobFileSource): Problem[] {
  if (transform === undefined) return [];
  return controls.flatMap(({ sum }, index) => {
    const column = sum === undefined || !Object.hasOwn(load.columns, sum) ? undefined : load.columns[sum];
    if (!column || column.from !== undefined || column.listed !== undefined) return [];
    const message = `the transform makes ${sum}, so this control has nothing to compare it with and is not evaluated; say where the amount comes from with from: or listed: in the column`;
    return [source.locate(['controls', index, 'sum'], message)];
  });
}

function apiWarnings({ apis }: Outline, source: JobFileSource): Problem[] {
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
    const { tokenUrl } = auth;
    if (typeof tokenUrl === 'string' && /^http:/i.test(tokenUrl) && !isLoopback(tokenUrl)) {
      const message = 'the client secret travels unencrypted over http; use https';
      found.push(source.locate(['apis', name, 'auth', 'tokenUrl'], message));
    }
    return found;
  });
}
