import fc from 'fast-check';

const number = fc.stringMatching(/^-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?$/);
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  number,
  fc.constantFrom('\\', '\\"', '"', '"1.0"', '__proto__', '-', '\0', '\ud800', '[', '}', ',', '10', '2', 'toString'),
);
// V8 itself takes a later name that begins with an escaped quote for an earlier one that ends with a backslash.
const name = text.filter((value) => !value.endsWith('\\'));
const space = fc.constantFrom('', '', ' ', '\n\t', ' \r ');

/** The text of any JSON value: every kind of number, doubled and odd names, half surrogate pairs, white space. */
export const anyJson: fc.Arbitrary<string> = fc.letrec<{ any: string }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    number,
    text.map((value) => JSON.stringify(value)),
    fc.constantFrom('null', 'true', 'false', '[]', '{}', '[ ]', '{\n}'),
    fc
      .tuple(space, fc.array(tie('any'), { maxLength: 6 }))
      .map(([blank, items]) => `[${items.join(`${blank},${blank}`)}${blank}]`),
    fc
      .tuple(space, fc.array(fc.tuple(name, tie('any')), { maxLength: 6 }))
      .map(
        ([blank, fields]) =>
          `{${fields.map(([field, value]) => `${blank}${JSON.stringify(field)}${blank}:${value}`).join(`${blank},`)}${blank}}`,
      ),
  ),
})).any;
