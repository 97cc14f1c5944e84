/** The world a command lives in: streams and environment, so that a test can give it another. */
export interface Terminal {
  /** Results only. */
  stdout: NodeJS.WritableStream;
  /** Logs, progress, messages. */
  stderr: NodeJS.WriteStream;
  environment: NodeJS.ProcessEnv;
}
