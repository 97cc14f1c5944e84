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

/** The log as other code uses it. */
export interface Log {
  debug: LogMethod;
  info: LogMethod;
  warn: LogMethod;
  error: LogMethod;
  /** Passes each finished line to `write` instead of standard error, until called without it. For the display. */
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
 * A log of JSON lines, by default written synchronously to standard error, so that no line is lost when the process ends.
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
      serializers: { error: unchanged, err: unchanged }, // pino's own serializers would undo those of `loggable`
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
  // Synchronous, because pino's worker thread loses lines on an early exit.
  const destination = openDestination({ dest: 2, sync: true });
  // A full disk must not end the run; pino itself ignores only a closed pipe.
  destination.on('error', () => undefined);
  return (line) => destination.write(line);
}

/** The facts of a line. Never throws: a failing getter must not end the run. */
function loggableFacts(facts: object): Record<string, unknown> {
  try {
    return loggableFields(facts);
  } catch (error) {
    return { unloggable: String(error) };
  }
}

function unchanged(value: unknown): unknown {
  return value;
}
