import { NightfillError } from '../resilience/failure.ts';

/** Why chunks are not admitted any more, as a sentence for the report. */
export class StopReason extends NightfillError {
  /** 130 or 143 after a signal. */
  readonly exitCode: number | undefined;

  constructor(code: 'DEADLINE' | 'MOSTLY_FAILING' | 'QUOTA' | 'SIGNAL', message: string, exitCode?: number) {
    super({ code, class: 'transient', message });
    this.exitCode = exitCode;
  }
}
