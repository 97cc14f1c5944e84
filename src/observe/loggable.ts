import { NightfillError } from '../resilience/failure.ts';
import { redacted } from './redact.ts';

const deepest = 6;
const longest = 100;
const privateKey =
  /^(?:headers|rawHeaders|trailers|body|cookie|authorization|proxy-authorization|set-cookie|x-api-key)$|password|secret|token/i;

/**
 * The part of a value that may be logged, by an allow-list: plain data, limited in depth and length; of an error its name,
 * code, message, stack and cause; an object with `toJSON` (a Date, a Secret) as its JSON. Of anything else (requests,
 * responses, database clients, buffers) only the name of its class, because it may refer to secrets.
 */
export function loggable(value: unknown, depth = 0): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (JSON.isRawJSON(value)) return value.rawJSON;
  if (value instanceof Error) return loggableError(value, depth);
  if (depth >= deepest) return '[deeper]';
  if (Array.isArray(value)) {
    const shown = value.slice(0, longest).map((inner) => loggable(inner, depth + 1));
    return value.length > longest ? [...shown, `[${value.length - longest} more]`] : shown;
  }
  if (ArrayBuffer.isView(value)) return `[${value.constructor.name} of ${value.byteLength} bytes]`;
  if ('toJSON' in value && typeof value.toJSON === 'function')
    return loggable((value.toJSON as () => unknown)(), depth + 1);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return `[${value.constructor.name}]`;
  return loggableFields(value, depth + 1);
}

/** The fields of a plain object, redacted where the name suggests a secret. */
export function loggableFields(fields: object, depth = 0): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, inner]) => [key, privateKey.test(key) ? redacted : loggable(inner, depth)]),
  );
}

function loggableError(error: Error, depth: number): Record<string, unknown> {
  const code: unknown = 'code' in error ? error.code : undefined;
  return {
    name: error.name,
    ...(typeof code === 'string' && { code }),
    message: error.message,
    // A NightfillError is thrown on purpose, and its message is enough.
    ...(!(error instanceof NightfillError) && { stack: error.stack }),
    ...(error instanceof AggregateError && depth < deepest && { errors: loggable(error.errors, depth + 1) }),
    ...(error.cause !== undefined && depth < deepest && { cause: loggable(error.cause, depth + 1) }),
  };
}
