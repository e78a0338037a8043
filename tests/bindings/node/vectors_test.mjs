// node vectors_test.mjs PROTOCOL.md: every byte vector, and every row of the
// tables of fields and messages.

import assert from 'node:assert/strict';
import { FIELDS, TYPES, decodeFrame, encodeFrame } from './codec.mjs';
import { readTable, readVectors } from './vectors.mjs';

const [, , path] = process.argv;
const vectors = readVectors(path);
let written = 0;
let refused = 0;

for (const { name, error, bytes } of vectors) {
  if (error) {
    assert.throws(() => decodeFrame(bytes), { name: error }, name);
    refused++;
    continue;
  }
  const frame = decodeFrame(bytes);
  // "Read, but not written": what is not known does not come back.
  const again = name === 'unknown-field' ? undefined : encodeFrame(frame);
  if (again) {
    assert.equal(again.toString('hex'), bytes.toString('hex'), name);
    written++;
  }
}

const by = (name) => decodeFrame(
  vectors.find((v) => v.name === name).bytes).fields;
// What the comments beside the bytes say.
assert.deepEqual(by('unknown-field').REF,
  ['qapi://secrets/a', 'qapi://secrets/b']);
assert.equal(by('result').AGE_MS, 90061001n);
assert.equal(by('call').TARGET, '/audit-logs?page=2');
assert.deepEqual(by('encrypt').DATA, Buffer.from('p\0q'));
assert.equal(by('verified').VALID, 1);
assert.equal(by('verified-not').VALID, undefined);
assert.equal(by('event-unknown-reason').REASON, 200);
assert.equal(by('watch').WATCH_REF[1].REF, 'qapi://secrets/a');

const fields = readTable(path, 4).filter(([, name]) => !/^(MORE|FD)$/.test(name));
assert.deepEqual(
  fields.map(([tag, name]) => [name, tag]).sort(),
  Object.entries(FIELDS).map(([name, [tag]]) => [name, tag]).sort());
const types = readTable(path, 2).map(([type, name]) => [type, name]);
assert.deepEqual(types, [
  ...Object.entries(TYPES.toAgent), ...Object.entries(TYPES.toClient),
].map(([name, type]) => [type, name]));

// The document has them all: a file that is cut short must not pass.
assert.ok(written >= 40 && refused >= 35, `${written} and ${refused}`);
console.log(`${vectors.length} vectors, ${fields.length} fields, ` +
  `${types.length} messages`);
