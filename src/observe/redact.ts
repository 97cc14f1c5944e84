/** What stands in a secret's place. */
export const redacted = '[redacted]';

const userInfo = /(:\/\/)[^/\s:@"]*:[^/\s"]*@/g;

/**
 * The last filter before a line of JSON is written: gives a function that removes every known secret from its texts,
 * in whatever guise (plain, within quoted JSON, URL-encoded, base64), and credentials from the URLs of any error.
 *
 * A line with a hit is parsed and written anew, because replacing in the raw line breaks its JSON when a secret is
 * `2` or `e`.
 */
export function secretFilter(secrets: readonly string[]): (line: string) => string {
  const guises = secrets.filter((secret) => secret !== '').flatMap(guisesOf);
  // The longest first: a secret that contains another goes as a whole.
  const forms = [...new Set(guises)].toSorted((a, b) => b.length - a.length);
  const inJson = forms.map(quoted);

  function clean(text: string): string {
    const withoutSecrets = forms.reduce((rest, form) => rest.replaceAll(form, redacted), text);
    return withoutSecrets.replace(userInfo, `$1${redacted}@`);
  }
  function cleanValue(value: unknown): unknown {
    if (typeof value === 'string') return clean(value);
    if (typeof value === 'number') return forms.includes(String(value)) ? redacted : value;
    if (Array.isArray(value)) return value.map(cleanValue);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [clean(key), cleanValue(inner)]));
  }

  return (line) => {
    if (!line.includes('://') && !inJson.some((form) => line.includes(form))) return line;
    const record = JSON.parse(line) as Record<string, unknown>;
    const { level, time, ...rest } = record; // ours, and needed to read the line at all
    return `${JSON.stringify({ level, time, ...(cleanValue(rest) as object) })}\n`;
  };
}

function guisesOf(secret: string): string[] {
  const encoded = secret.isWellFormed() ? [encodeURIComponent(secret)] : [];
  return [
    secret,
    quoted(secret),
    ...encoded,
    Buffer.from(secret).toString('base64'),
    Buffer.from(secret).toString('base64url'),
  ];
}

function quoted(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
