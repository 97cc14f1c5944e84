import { NightfillError, type FailureClass } from '../../resilience/failure.ts';
import type { RejectedRow } from '../../sinks/target/copy-upsert.ts';
import { RequestError } from '../../sources/api/request-error.ts';
import type { AdviceAction, FailureRecord, FailureStage } from '../../ledger/failure.ts';

/** Turns a NightfillError into data; throws any other error again, because it means that the runner is broken. */
export function failureRecord(error: unknown, at: { stage: FailureStage; lookup?: string }): FailureRecord {
  if (!(error instanceof NightfillError)) throw error;
  const request = error instanceof RequestError ? error : undefined;
  return {
    stage: at.stage,
    api: request?.api ?? null,
    lookup: at.lookup ?? null,
    code: error.code,
    class: error.class,
    httpStatus: request?.httpStatus ?? null,
    message: error.message,
    attempts: request?.attempts ?? 1,
    advice: request?.retryAt === undefined ? adviceFor(error.class) : 'retry-after',
    adviceAfter: request?.retryAt === undefined ? null : new Date(request.retryAt).toISOString(),
  };
}

/** The failure of a row that Postgres refused. */
export function rejectedRow({ code, message }: Pick<RejectedRow, 'code' | 'message'>): FailureRecord {
  return {
    stage: 'load',
    api: null,
    lookup: null,
    code,
    class: 'data',
    httpStatus: null,
    message,
    attempts: 1,
    advice: adviceFor('data'),
    adviceAfter: null,
  };
}

export function adviceFor(failureClass: FailureClass): AdviceAction {
  switch (failureClass) {
    case 'transient':
    case 'system':
      return 'retry-now';
    case 'config':
      return 'fix-config';
    case 'data':
      return 'fix-record';
  }
  return failureClass satisfies never;
}
