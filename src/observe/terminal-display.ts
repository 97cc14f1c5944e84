import stringWidth from 'string-width';
import { harmless } from './terminal-text.ts';

const hideCursor = '\u001b[?25l';
const showCursor = '\u001b[?25h';
// Synchronized output: between these a terminal shows no partial frame; others ignore them.
const beginFrame = '\u001b[?2026h';
const endFrame = '\u001b[?2026l';
const clearToLineEnd = '\u001b[K';
const clearBelow = '\u001b[J';

/** The terminal; `columns` and `rows` are its present size. */
export interface Screen {
  write(text: string): unknown;
  columns?: number;
  rows?: number;
}

/**
 * Lines that stay in place at the end of a terminal; other text scrolls by above them. Rejected: log-update 8, which on a
 * narrower terminal erases as many rows as it drew at the former width, so that reflowed rows stay behind (seen in tmux).
 */
export class TerminalDisplay {
  readonly #screen: Screen;
  /** Columns of each line drawn, from which the height of the display follows. */
  #drawn: number[] = [];
  #lastFrame = '';

  constructor(screen: Screen) {
    this.#screen = screen;
    screen.write(hideCursor);
  }

  /** The columns that a line may take: one less than the terminal has, because a full line wraps on some. */
  get width(): number {
    return Math.max(1, (this.#screen.columns ?? 80) - 1);
  }

  /** Draws `lines` in place of what was drawn before. */
  draw(lines: readonly string[]): void {
    const visible = Math.max(1, (this.#screen.rows ?? 24) - 1);
    const shown = lines.slice(0, visible);
    const frame = shown.map((line) => `${line}${clearToLineEnd}\n`).join('');
    if (frame === this.#lastFrame) return;
    this.#screen.write(`${beginFrame}${this.#toStart()}${frame}${clearBelow}${endFrame}`);
    this.#drawn = shown.map((line) => stringWidth(line));
    this.#lastFrame = frame;
  }

  /** Writes a line above the display, which the next `draw` draws again. */
  above(text: string): void {
    const lines = text.split(/\r?\n/).map(harmless);
    this.#screen.write(`${beginFrame}${this.#toStart()}${clearBelow}${lines.join('\n')}\n${endFrame}`);
    this.#drawn = [];
    this.#lastFrame = '';
  }

  /** After a resize the terminal has reflowed the lines, so the next frame must be drawn even if it is the same. */
  resized(): void {
    this.#lastFrame = '';
  }

  /** Keeps the last frame and shows the cursor. */
  end(): void {
    this.#screen.write(showCursor);
  }

  #toStart(): string {
    // On a terminal that has become narrower one line takes several rows.
    const columns = Math.max(1, this.#screen.columns ?? 80);
    const rows = this.#drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    return rows > 0 ? `\u001b[${Math.min(rows, (this.#screen.rows ?? 24) - 1)}A\r` : '\r';
  }
}
