/** What names a run in its rows, and fences them. */
export interface RunIds {
  /** The job's name. */
  job: string;
  instance: string;
  run: string;
  /** The lease's token: fences every commit. */
  token: string;
}
