// Reads PROTOCOL.md: its byte vectors, and its tables of fields and messages.

import { readFileSync } from 'node:fs';

/** [{name, error, bytes}] */
export function readVectors(path) {
  const out = [];
  const block = /^```vector (\S+)(?: (\S+))?\n([^]*?)^```$/gm;
  for (const [, name, error, body] of
    readFileSync(path, 'utf8').matchAll(block)) {
    const hex = body.replace(/#.*$/gm, '').replace(/\s+/g, '');
    out.push({ name, error, bytes: Buffer.from(hex, 'hex') });
  }
  return out;
}

/** Rows "| 0x… | NAME | …" as [number, name, rest]. */
export function readTable(path, digits) {
  const row = new RegExp(
    `^\\| (0x[0-9a-f]{${digits}}) \\| ([A-Z_]+) \\| (.*) \\|$`, 'gm');
  return [...readFileSync(path, 'utf8').matchAll(row)].map(
    ([, number, name, rest]) => [Number(number), name, rest]);
}
