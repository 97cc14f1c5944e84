import { activePosition, contract, contractCount, contractId, listedContract } from './records.ts';
import { noResource, splitUrl, type Resource } from './resource.ts';

const defaultLimit = 100;
const largestLimit = 1000;

export interface Population {
  seed: number;
  /** Active contracts. */
  contracts: number;
  customers: number;
}

/** The CRM's paths: `/contracts?status&after&limit` and `/contracts/{id}`. */
export function findInCrm(population: Population, url: string): Resource {
  const [path, query] = splitUrl(url);
  if (path === '/contracts') return listing(population, new URLSearchParams(query));
  const { seed, contracts, customers } = population;
  const id = path.startsWith('/contracts/') ? path.slice('/contracts/'.length) : '';
  const position = Number(id.slice(3)) - 1;
  if (!(position >= 0 && position < contractCount(contracts)) || contractId(position) !== id) {
    return noResource(404, 'there is no such contract');
  }
  return { kind: 'record', index: position, status: 200, body: contract(seed, customers, position) };
}

function listing({ seed, contracts, customers }: Population, query: URLSearchParams): Resource {
  const status = query.get('status');
  const limit = Number(query.get('limit') ?? defaultLimit);
  if (!Number.isInteger(limit) || limit < 1 || limit > largestLimit) {
    return noResource(400, `limit must be a whole number from 1 to ${largestLimit}`);
  }
  const cursor = query.get('after');
  const start = cursor === null ? 0 : readCursor(cursor);
  const all = contractCount(contracts);
  const total = status === null ? all : status === 'active' ? contracts : status === 'expired' ? all - contracts : 0;
  if (start === undefined || start > total) return noResource(400, 'after is not a cursor of this listing');

  const end = Math.min(start + limit, total);
  const records: string[] = [];
  for (let ordinal = start; ordinal < end; ordinal += 1) {
    const position = status === 'active' ? activePosition(ordinal) : status === 'expired' ? ordinal * 10 + 9 : ordinal;
    records.push(listedContract(seed, customers, position));
  }
  const paging = end < total ? `"paging":{"next":{"after":"${writeCursor(end)}"}},` : '';
  return {
    kind: 'listing',
    index: start,
    status: 200,
    body: `{"data":[${records.join(',')}],${paging}"meta":{"total":${total}}}`,
  };
}

// With letters, so that a cursor cannot be mistaken for a page number.
function writeCursor(ordinal: number): string {
  return `k${ordinal.toString(36)}`;
}

function readCursor(cursor: string): number | undefined {
  const ordinal = /^k[0-9a-z]{1,9}$/.test(cursor) ? Number.parseInt(cursor.slice(1), 36) : undefined;
  return ordinal !== undefined && writeCursor(ordinal) === cursor ? ordinal : undefined;
}
