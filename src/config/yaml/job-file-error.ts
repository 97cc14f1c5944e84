import { harmless } from '../../observe/terminal-text.ts';
import { UsageError } from '../../resilience/failure.ts';

export interface Problem {
  /** From 1. */
  line: number;
  /** From 1. */
  column: number;
  /** Where in the job, for example `apis.crm.timeout`; empty for the file as a whole. */
  path: string;
  /** What was expected, what was found, what to do. */
  message: string;
}

/** Everything that is wrong with a job file, at once. Its message is one line per problem, each `file:line:column: …`. */
export class JobFileError extends UsageError {
  readonly problems: readonly Problem[];

  constructor(file: string, problems: readonly Problem[], cause?: unknown) {
    const lines = problems.map((problem) => formatProblem(file, problem));
    const heading = problems.length > 1 ? [harmless(`${file} has ${problems.length} problems:`)] : [];
    super([...heading, ...lines].join('\n'), { code: 'JOB_FILE', cause });
    this.problems = problems;
  }
}

/** `jobs/a.yaml:3:9: apis.crm.timeout: expected …`, in one line whatever the file holds. */
export function formatProblem(file: string, { line, column, path, message }: Problem): string {
  return harmless(`${file}:${line}:${column}: ${path ? `${path}: ` : ''}${message}`);
}
