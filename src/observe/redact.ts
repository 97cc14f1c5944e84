/** Replaces a secret. */
export const redacted = '[redacted]';

const userInfo = /(:\/\/)[^/\s:@"]*:[^/\s"]*@/g;

/**
 * The last filter before a line of JSON is written: a function that removes every known secret from its texts, in every
 * encoding (plain, within quoted JSON, URL-encoded, base64), and credentials from all URLs.
 *
 * A line with a match is parsed and written again, because a replacement in the raw line breaks its JSON when a secret is
 * `2` or `e`.
 */
export function secretFilter(secrets: readonly string[]): (line: string) => string {
  const encodings = secrets.filter((secret) => secret !== '').flatMap(encodingsOf);
  // The longest first, so that a secret which contains another is replaced as a whole.
  const forms = [...new Set(encodings)].toSorted((a, b) => b.length - a.length);
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
    const { level, time, ...rest } = record; // written by us, and needed to read the line
    return `${JSON.stringify({ level, time, ...(cleanValue(rest) as object) })}\n`;
  };
}

function encodingsOf(secret: string): string[] {
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
