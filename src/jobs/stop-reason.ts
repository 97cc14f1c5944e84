import { NightfillError } from '../resilience/failure.ts';

/** Why chunks are not admitted any more, as a sentence for the report. */
export class StopReason extends NightfillError {
  /** 130 or 143 after a signal. */
  readonly exitCode: number | undefined;
  /** Before then it makes no sense to try again; undefined: at once. */
  readonly after: Date | undefined;

  constructor(
    code: 'DEADLINE' | 'MOSTLY_FAILING' | 'QUOTA' | 'SIGNAL',
    message: string,
    o: { exitCode?: number; after?: Date } = {},
  ) {
    super({ code, class: 'transient', message });
    this.exitCode = o.exitCode;
    this.after = o.after;
  }
}
