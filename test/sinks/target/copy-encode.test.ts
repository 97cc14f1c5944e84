import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeCopy } from '../../../src/sinks/target/copy-encode.ts';
import type { Row } from '../../../src/sinks/target/copy-encode.ts';

/** Reads PostgreSQL's binary COPY format by its documentation, without looking at the encoder. */
function decode(bytes: Buffer): { ordinal: number; row: (string | null)[] }[] {
  assert.equal(bytes.subarray(0, 11).toString('latin1'), 'PGCOPY\n\xff\r\n\0');
  assert.equal(bytes.readInt32BE(11), 0);
  assert.equal(bytes.readInt32BE(15), 0);
  const decoded: { ordinal: number; row: (string | null)[] }[] = [];
  let at = 19;
  for (;;) {
    const fields = bytes.readInt16BE(at);
    at += 2;
    if (fields === -1) break;
    assert.equal(bytes.readInt32BE(at), 4);
    const ordinal = bytes.readInt32BE(at + 4);
    at += 8;
    const row = Array.from({ length: fields - 1 }, () => {
      const length = bytes.readInt32BE(at);
      at += 4;
      if (length === -1) return null;
      at += length;
      return bytes.toString('utf8', at - length, at);
    });
    decoded.push({ ordinal, row });
  }
  assert.equal(at, bytes.length, 'nothing follows the trailer');
  return decoded;
}

const encode = (rows: Row[]): Buffer => Buffer.concat([...encodeCopy(rows, rows.keys())]);

test('rows read back as they were written, whatever characters they hold', () => {
  const value = fc.option(fc.string({ unit: 'binary', maxLength: 60 }).map((text) => text.toWellFormed()));
  fc.assert(
    fc.property(fc.array(fc.tuple(value, value, value), { maxLength: 8 }), (rows) => {
      assert.deepEqual(
        decode(encode(rows)),
        rows.map((row, ordinal) => ({ ordinal, row })),
      );
    }),
  );
});

test('no row at all is a header and a trailer', () => {
  assert.deepEqual(decode(encode([])), []);
});

test('rows that end anywhere near the edge of a buffer survive it', () => {
  // A row of one empty value takes 14 bytes, so that the first value's length decides where the edge cuts.
  const fitting = Math.floor((128 * 1024) / 14);
  for (let length = 0; length < 14; length++) {
    for (const more of [-3, 5]) {
      const rows: Row[] = [['x'.repeat(length)], ...Array.from({ length: fitting + more }, (): Row => [''])];
      const decoded = decode(encode(rows));
      assert.equal(decoded.length, rows.length);
      assert.ok(decoded.every(({ ordinal, row }) => row[0]?.length === (ordinal === 0 ? length : 0)));
    }
  }
});

test('values of characters of two, three and four bytes are not cut at the edge of a buffer', () => {
  for (const character of ['é', '漢', '😀']) {
    // Lengths that differ, so that the edge falls into many places of a value.
    const rows: Row[] = Array.from({ length: 2000 }, (_, index) => [character.repeat(200 + (index % 97)), null]);
    const decoded = decode(encode(rows));
    assert.ok(decoded.every(({ row }, index) => row[0] === rows[index]?.[0] && row[1] === null));
  }
});

test('a value larger than a buffer travels whole', () => {
  const rows: Row[] = [
    ['a', '😀'.repeat(300_000)],
    ['b', 'x'.repeat(1_000_000)],
  ];
  assert.deepEqual(
    decode(encode(rows)).map(({ row }) => row),
    rows,
  );
});

test('only the ordinals asked for are sent, under their own numbers', () => {
  const rows: Row[] = [['a'], ['b'], ['c']];
  assert.deepEqual(decode(Buffer.concat([...encodeCopy(rows, [2, 0])])), [
    { ordinal: 2, row: ['c'] },
    { ordinal: 0, row: ['a'] },
  ]);
});

test('a buffer handed out is not written again, for the socket may still hold it', () => {
  const rows: Row[] = Array.from({ length: 4000 }, (_, index) => [`${index}`.repeat(20)]);
  const buffers: Buffer[] = [];
  const copies: Buffer[] = [];
  for (const buffer of encodeCopy(rows, rows.keys())) {
    buffers.push(buffer);
    copies.push(Buffer.from(buffer));
  }
  assert.ok(buffers.length > 1);
  assert.deepEqual(buffers, copies);
});
