/** What a path leads to. `index` is the number of the record or page; -1 without one. */
export interface Resource {
  kind: 'record' | 'listing' | 'none';
  index: number;
  status: number;
  /** JSON text. */
  body: string;
}

export function noResource(status: number, message: string): Resource {
  return { kind: 'none', index: -1, status, body: JSON.stringify({ error: message }) };
}

/** The path before the question mark and the query after it. */
export function splitUrl(url: string): [path: string, query: string] {
  const mark = url.indexOf('?');
  return mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)];
}
