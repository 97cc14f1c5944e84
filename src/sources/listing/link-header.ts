const target = /\s*<([^>]*)>/y;
const parameter = /\s*;\s*([^\s=;,"]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/y;
const separator = /\s*(?:,\s*)*/y;

/**
 * The address that a `Link` header (RFC 8288) gives for a relation such as `next`; undefined when it gives none.
 * Parsed here because splitting at commas, as simple parsers do, breaks addresses and quoted parameters that contain one.
 */
export function linkTarget(header: string | string[] | undefined, relation: string): string | undefined {
  const text = Array.isArray(header) ? header.join(', ') : (header ?? '');
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at = pattern.lastIndex;
    return match;
  };
  for (;;) {
    take(separator);
    const link = take(target);
    if (!link) return undefined;
    let relations: string | undefined;
    for (let found = take(parameter); found; found = take(parameter)) {
      // RFC 8288, 3.3: only the first rel of a link counts.
      if (found[1]?.toLowerCase() === 'rel') relations ??= (found[2] ?? found[3] ?? '').toLowerCase();
    }
    if (relations?.split(/\s+/).includes(relation)) return link[1];
  }
}
