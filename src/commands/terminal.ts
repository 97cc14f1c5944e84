import { harmless, harmlessJson } from '../observe/terminal-text.ts';

/** The world a command lives in: streams and environment, so that a test can give it another. */
export interface Terminal {
  /** Results only. */
  stdout: NodeJS.WritableStream;
  /** Logs, progress, messages. */
  stderr: NodeJS.WriteStream;
  environment: NodeJS.ProcessEnv;
}

/** Writes lines for people. What an API wrote into one must neither move the cursor nor begin a line of its own. */
export function writeLines(stream: NodeJS.WritableStream, lines: readonly string[]): void {
  stream.write(`${lines.map(harmless).join('\n')}\n`);
}

/** Writes JSON, for programs and for people who look at it. */
export function writeJson(stream: NodeJS.WritableStream, json: string): void {
  stream.write(harmlessJson(json));
}

/** Writes text that has its line breaks, the last one included, where it should. */
export function writeText(stream: NodeJS.WritableStream, text: string): void {
  stream.write(text.split('\n').map(harmless).join('\n'));
}
