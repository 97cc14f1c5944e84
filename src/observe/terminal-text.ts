/** A piece of a line and how it looks. */
export type Piece = string | { text: string; style: Style };

const styles = {
  bold: '\u001b[1m',
  dim: '\u001b[2m',
  red: '\u001b[31m',
  green: '\u001b[32m',
  yellow: '\u001b[33m',
  cyan: '\u001b[36m',
} as const;
export type Style = keyof typeof styles;
const plain = '\u001b[0m';

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
const control = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;
const wide =
  /\p{Emoji_Presentation}|\uFE0F|[\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uA960-\uA97C\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|[\u{20000}-\u{3FFFD}]/u;
const invisible = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;

/** The text without anything a terminal would obey: what an API wrote must not move the cursor. */
export function harmless(text: string): string {
  return text.toWellFormed().replace(control, '\uFFFD');
}

/** Messages with these codes are lists, a line for each finding. In any other a line break came with data. */
const codesOfLists = new Set(['JOB_FILE', 'TARGET_TABLE']);

/** The lines of a message, harmless each; one line, unless its code is that of a list. */
export function harmlessLines(message: string, code: string | null | undefined): string[] {
  return (codesOfLists.has(code ?? '') ? message.split('\n') : [message]).map(harmless);
}

/** Columns a harmless text takes. */
export function textWidth(text: string): number {
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += graphemeWidth(segment);
  return width;
}

function graphemeWidth(grapheme: string): number {
  if (invisible.test(grapheme)) return 0;
  return wide.test(grapheme) ? 2 : 1;
}

/** The longest beginning of a harmless text that takes at most `width` columns, with `…` where something was cut. */
export function truncated(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let kept = '';
  let used = 1; // the ellipsis
  for (const { segment } of graphemes.segment(text)) {
    used += graphemeWidth(segment);
    if (used > width) break;
    kept += segment;
  }
  return width < 1 ? '' : `${kept}…`;
}

/** The pieces as one line of at most `width` columns. */
export function fitLine(pieces: readonly Piece[], { width, colour }: { width: number; colour: boolean }): string {
  let room = width;
  let line = '';
  for (const piece of pieces) {
    const text = truncated(harmless(typeof piece === 'string' ? piece : piece.text), room);
    const whole = textWidth(text);
    room = text.endsWith('…') ? 0 : room - whole;
    if (text === '') continue;
    line += colour && typeof piece !== 'string' ? `${styles[piece.style]}${text}${plain}` : text;
  }
  return line;
}

export function piecesWidth(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + textWidth(harmless(typeof piece === 'string' ? piece : piece.text)), 0);
}
