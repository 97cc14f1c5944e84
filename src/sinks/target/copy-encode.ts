/** One row in column order, each value in its text form. */
export type Row = readonly (string | null)[];

/** Large enough that a chunk costs few socket writes (two each), small enough to flow while rows are encoded. */
const BUFFER_BYTES = 128 * 1024;

const signature = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
/** Signature, no flags, no header extension. */
const header = Buffer.concat([signature, Buffer.alloc(8)]);
const trailer = Buffer.from([0xff, 0xff]);

/**
 * Rows in PostgreSQL's binary COPY format, for a table of an int4 followed by text columns:
 * https://www.postgresql.org/docs/current/sql-copy.html (Binary Format). Lengths go before values, so nothing is
 * escaped. `ordinals` picks the rows to send, and each row's first field is its ordinal.
 * Every buffer is new, because the socket still reads the previous one while the next is filled.
 */
export function* encodeCopy(rows: readonly Row[], ordinals: Iterable<number>): Generator<Buffer, void, undefined> {
  let buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  let end = header.copy(buffer);
  for (const ordinal of ordinals) {
    const row = rows[ordinal] ?? [];
    if (end + 10 > buffer.length) {
      yield buffer.subarray(0, end);
      buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
      end = 0;
    }
    end = buffer.writeInt16BE(row.length + 1, end);
    end = buffer.writeInt32BE(4, end);
    end = buffer.writeInt32BE(ordinal, end);
    for (const text of row) {
      // A UTF-16 unit takes at most three bytes.
      const most = 4 + (text === null ? 0 : 3 * text.length);
      if (end + most > buffer.length) {
        if (end > 0) yield buffer.subarray(0, end);
        buffer = Buffer.allocUnsafeSlow(Math.max(BUFFER_BYTES, most));
        end = 0;
      }
      end = text === null ? buffer.writeInt32BE(-1, end) : writeText(buffer, text, end);
    }
  }
  yield end + trailer.length > buffer.length
    ? Buffer.concat([buffer.subarray(0, end), trailer])
    : buffer.subarray(0, end + trailer.copy(buffer, end));
}

/** Writes length and bytes, gives the new end. */
function writeText(buffer: Buffer, text: string, start: number): number {
  const bytes = start + 4;
  let end = bytes;
  // Most values are short and ASCII, for which a loop is faster than the call into C++.
  const { length } = text;
  if (length <= 24) {
    let index = 0;
    for (; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) break;
      buffer[bytes + index] = code;
    }
    end = index === length ? bytes + length : bytes + buffer.write(text, bytes, 'utf8');
  } else {
    end = bytes + buffer.write(text, bytes, 'utf8');
  }
  buffer.writeInt32BE(end - bytes, start);
  return end;
}
