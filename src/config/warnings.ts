import { parseJsonPath } from '../sources/json/json-path.ts';
import { parseTemplate } from '../sources/json/template.ts';
import { templateNames, templatesOf } from './check-references.ts';
import type { Problem } from './yaml/job-file-error.ts';
import type { JobFileSource } from './yaml/job-file-source.ts';
import type { Outline } from './yaml/outline.ts';
import { defaults } from './schema/defaults.ts';
import { isLoopback } from './schema/url.ts';

/** What is valid and probably a mistake, in a file without problems. */
export function warnings(outline: Outline, source: JobFileSource): Problem[] {
  return [...apiWarnings(outline, source), ...templateWarnings(outline, source), ...controlWarnings(outline, source)];
}

/** `{{key}}`, the placeholder of other programs, would be sent as the text {key}. */
function templateWarnings({ contracts, lookups }: Outline, source: JobFileSource): Problem[] {
  const known = templateNames(lookups);
  const texts = [
    ...templatesOf(['contracts'], contracts),
    ...Object.entries(lookups).flatMap(([name, lookup]) => templatesOf(['lookups', name], lookup)),
  ];
  return texts.flatMap(([path, text]) => {
    const literals = parseTemplate(text).parts.filter((part) => typeof part === 'string');
    const found = literals
      .flatMap((literal) => [...literal.matchAll(/\{([^{}]*)\}/g)])
      .find(([, inside = '']) => known.includes(String(parseJsonPath(inside)?.[0])));
    if (!found) return [];
    const message = `{${found[0]}} is sent as the text ${found[0]}, because {{ and }} are literal braces; to have it filled in, write ${found[0]}`;
    return [source.locate(path, message)];
  });
}

/** The sum of a column that only the transform makes cannot be compared, unless the column names its source. */
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
