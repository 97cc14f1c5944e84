import type { Population } from './crm.ts';
import { customerId, usage } from './records.ts';
import { noResource, splitUrl, type Resource } from './resource.ts';

/** The usage API's one path: `/customers/{customerId}/usage?month=YYYY-MM`. */
export function findInUsage({ seed, customers }: Population, url: string): Resource {
  const [path, query] = splitUrl(url);
  const id = path.startsWith('/customers/') && path.endsWith('/usage') ? path.slice(11, -6) : '';
  const customer = Number(id.slice(3)) - 1;
  if (!(customer >= 0 && customer < customers) || customerId(customer) !== id) {
    return noResource(404, 'there is no such customer');
  }
  const month = new URLSearchParams(query).get('month') ?? '';
  if (!/^\d{4}-(?:0[1-9]|1[0-2])$/.test(month)) return noResource(400, 'month must be given as YYYY-MM');
  return { kind: 'record', index: customer, status: 200, body: usage(seed, customer, month) };
}
