import { harmless, harmlessJson } from '../observe/terminal-text.ts';
import { UsageError } from '../resilience/failure.ts';

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
export function ownTerminal(): Terminal {
  if (!process.stdout.listeners('error').includes(noteOutputError)) process.stdout.on('error', noteOutputError);
  return {
    /** Asked for when it is needed, because help needs none. Throws UsageError. */
    get directory() {
      return workingFolder();
    },
    stdout: process.stdout,
    stderr: process.stderr,
    environment: process.env,
    signals: process,
    exit: (exitCode) => process.exit(exitCode),
  };
}

/**
 * A reader that has seen enough (`| head`) is no error. Output that is lost otherwise, as on a full disk, is one, although
 * the night and its report file do not depend on it.
 */
function noteOutputError({ code, message }: NodeJS.ErrnoException): void {
  if (code === 'EPIPE') return;
  writeLines(process.stderr, [`nightfill: standard output cannot be written: ${message}`]);
  // The command may still be at work, and gives an exit code of its own at its end.
  process.once('exit', () => (process.exitCode ||= 1));
}

function workingFolder(): string {
  try {
    return process.cwd();
  } catch (error) {
    throw new UsageError(
      'the folder in which this command was started no longer exists; go to one that exists and run it again',
      { code: 'WORKING_FOLDER_GONE', cause: error },
    );
  }
}

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
