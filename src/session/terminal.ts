import { harmless, harmlessJson } from '../observe/terminal-text.ts';

export type StopSignalName = 'SIGINT' | 'SIGTERM';

/** Where SIGINT and SIGTERM arrive: the process, or whoever runs the program inside another one. */
export interface SignalSource {
  on(name: StopSignalName, listener: (name: StopSignalName) => void): unknown;
  off(name: StopSignalName, listener: (name: StopSignalName) => void): unknown;
}

/** Everything a command uses of its process, so that a test can run it inside another one. */
export interface Terminal {
  /** Absolute path: relative paths start here, and reports and the embedded database lie below. */
  directory: string;
  /** Results only. */
  stdout: NodeJS.WritableStream;
  /** Logs, progress, messages. */
  stderr: NodeJS.WriteStream;
  environment: NodeJS.ProcessEnv;
  signals: SignalSource;
  /** Ends the process at once, also with work in flight. */
  exit(exitCode: number): void;
}

/** The terminal in which this process was started. */
export const ownTerminal = (): Terminal => ({
  directory: process.cwd(),
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  signals: process,
  exit: (exitCode) => process.exit(exitCode),
});

/** Writes lines for people. Text of an API in them must neither move the cursor nor begin a new line. */
export function writeLines(stream: NodeJS.WritableStream, lines: readonly string[]): void {
  stream.write(`${lines.map(harmless).join('\n')}\n`);
}

/** Writes JSON, for programs and for people who look at it. */
export function writeJson(stream: NodeJS.WritableStream, json: string): void {
  stream.write(harmlessJson(json));
}

/** Writes text with its own line breaks, including the last one. */
export function writeText(stream: NodeJS.WritableStream, text: string): void {
  stream.write(text.split('\n').map(harmless).join('\n'));
}
