import { logLineForPeople } from './log-line.ts';
import type { Progress, ProgressOptions } from './progress.ts';
import { renderProgress } from './render-progress.ts';
import { TerminalDisplay } from './terminal-display.ts';
import { harmless } from './terminal-text.ts';

const drawEvery = 125; // ms

/** Draws a run's progress on the terminal until stopped. Never keeps the process alive. */
export function startDisplay({ snapshot, stream, log, environment = process.env }: ProgressOptions): Progress {
  const display = new TerminalDisplay(stream);
  const colour = allowsColour(stream, environment);
  function draw(): void {
    display.draw(renderProgress(snapshot(), { width: display.width, colour }));
  }
  function onResize(): void {
    display.resized();
    draw();
  }
  function note(line: string): void {
    display.above(line);
    draw();
  }
  const timer = setInterval(draw, drawEvery).unref();
  stream.on('resize', onResize);
  // Shows the cursor again, however the process ends.
  const restore = (): void => display.end();
  process.once('exit', restore);
  log.divert?.((line) => note(harmless(logLineForPeople(line))));
  draw();

  let stopped = false;
  return {
    note: (line) => (stopped ? void stream.write(`${harmless(line)}\n`) : note(line)),
    advance: () => undefined,
    stop() {
      if (stopped) return;
      stopped = true;
      clearInterval(timer);
      stream.off('resize', onResize);
      process.off('exit', restore);
      log.divert?.();
      draw();
      restore();
    },
  };
}

/** NO_COLOR (no-color.org): any value but the empty one. Node decides the rest. */
function allowsColour(stream: NodeJS.WriteStream, environment: NodeJS.ProcessEnv): boolean {
  return !environment['NO_COLOR'] && stream.hasColors?.(environment) === true;
}
