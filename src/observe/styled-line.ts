import { styleText } from 'node:util';
import truncate from 'cli-truncate';
import stringWidth from 'string-width';
import { harmless } from './terminal-text.ts';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** A piece of a line and its style. */
export type Piece = string | { text: string; style: Style };

const textOf = (piece: Piece): string => harmless(typeof piece === 'string' ? piece : piece.text);

/** The pieces as one line of at most `width` columns, with `…` where text was cut. */
export function fitLine(pieces: readonly Piece[], { width, colour }: { width: number; colour: boolean }): string {
  const styled = pieces.map((piece) =>
    // Not validated against a stream: the caller has decided whether the terminal gets colours.
    colour && typeof piece !== 'string'
      ? styleText(piece.style, textOf(piece), { validateStream: false })
      : textOf(piece),
  );
  return truncate(styled.join(''), width);
}

/** Terminal columns that the pieces take. */
export const piecesWidth = (pieces: readonly Piece[]): number => stringWidth(pieces.map(textOf).join(''));
