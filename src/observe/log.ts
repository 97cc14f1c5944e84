import { destination as openDestination, pino, stdTimeFunctions } from 'pino';
import { UsageError } from '../resilience/failure.ts';
import { loggableFields } from './loggable.ts';
import { secretFilter } from './redact.ts';
import { harmlessJson } from './terminal-text.ts';

/** A sentence, or facts and a sentence. Errors go into the facts as `error`. */
export interface LogMethod {
  (message: string): void;
  (facts: object, message?: string): void;
}

/** What others need of the log. */
export interface Log {
  debug: LogMethod;
  info: LogMethod;
  warn: LogMethod;
  error: LogMethod;
  /** Hands each finished line to `write` instead of standard error until called without it; a display needs this. */
  divert?(write?: (line: string) => void): void;
}

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export interface LogOptions {
  /** One of `logLevels`; as NIGHTFILL_LOG_LEVEL gives it. */
  level: string;
  /** Values that must never be written. */
  secrets: readonly string[];
  /** Takes the lines. Default: writes them to `stream`. */
  write?: (line: string) => void;
  /** Default: standard error. */
  stream?: NodeJS.WritableStream;
}

/**
 * A log of JSON lines, by default on standard error and written at once: nothing is lost when the process ends.
 * Throws UsageError for an unknown level.
 */
export function createLog({ level, secrets, stream, write = writeTo(stream) }: LogOptions): Log {
  if (!logLevels.some((known) => known === level)) {
    throw new UsageError(`NIGHTFILL_LOG_LEVEL must be one of ${logLevels.join(', ')}, and is "${level}".`);
  }
  let diverted: ((line: string) => void) | undefined;
  const logger = pino(
    {
      level,
      base: null,
      errorKey: 'error',
      timestamp: stdTimeFunctions.isoTime,
      serializers: { error: asItIs, err: asItIs }, // pino's own would undo what `loggable` made of an error
      formatters: { level: (label) => ({ level: label }), log: loggableFacts },
      hooks: { streamWrite: secretFilter(secrets) },
    },
    { write: (line: string) => (diverted ?? write)(harmlessJson(line)) },
  );
  return {
    debug: (facts: object | string, message?: string) => logger.debug(facts, message),
    info: (facts: object | string, message?: string) => logger.info(facts, message),
    warn: (facts: object | string, message?: string) => logger.warn(facts, message),
    error: (facts: object | string, message?: string) => logger.error(facts, message),
    divert: (to) => (diverted = to),
  };
}

function writeTo(stream: NodeJS.WritableStream = process.stderr): (line: string) => void {
  if (stream !== process.stderr) return (line) => void stream.write(line);
  // A worker thread of pino's own would lose lines on an early exit.
  const destination = openDestination({ dest: 2, sync: true });
  // A full disk under the log must not end the night; pino itself forgives only a closed pipe.
  destination.on('error', () => undefined);
  return (line) => destination.write(line);
}

/** The facts of a line, whatever they are: a log that throws would end the night for a getter's sake. */
function loggableFacts(facts: object): Record<string, unknown> {
  try {
    return loggableFields(facts);
  } catch (error) {
    return { unloggable: String(error) };
  }
}

function asItIs(value: unknown): unknown {
  return value;
}
