// Frames and fields of qapi-agent's local protocol. Written from
// proto/PROTOCOL.md and nothing else, as a check that the document suffices.

export class ProtocolError extends Error {
  /** name: of an error in section 5; it is what a receiver answers. */
  constructor(name, message) {
    super(message);
    this.name = name;
  }
}

const bad = (message) => new ProtocolError('bad-request', message);
const unsupported = (message) => new ProtocolError('unsupported', message);

/** Section 5. */
export const ERRORS = [
  null, 'bad-request', 'not-found', 'ambiguous', 'denied', 'expired',
  'unauthorized', 'insufficient-scope', 'rate-limited',
  'upstream-unavailable', 'upstream-error', 'too-large', 'busy', 'timeout',
  'unsupported', 'internal',
];

export const errorName = (number) => ERRORS[number] ?? 'internal';

/** Section 2. */
export const HEADER = 16;
export const MORE = 0x0001;
const FD = 0x0002;
const CRITICAL_FLAGS = 0xff00;
const MAX_TO_AGENT = 0x110000;
const MAX_TO_CLIENT = 0x1010000;

/**
 * Section 3. tag: [name, type, options]. min, max: bytes of the content.
 * one of: the only numbers there are; others belong to a later version.
 */
const text = (min, max) => ({ type: 'text', min, max });
const bytes = (min, max) => ({ type: 'bytes', min, max });
const int = (size, oneOf) => ({ type: 'int', size, oneOf });
const time = { type: 'time', size: 8 };
const yes = int(1, [1]);
const u64 = int(8);

export const FIELDS = {
  DEADLINE_MS: [0x0001, u64],
  MAX_AGE_MS: [0x0002, u64],
  MAX_STALE_MS: [0x0003, u64],
  TERMS: [0x0004, int(4, [0, 1, 2, 3, 4, 5, 6, 7])],
  REF: [0x0010, text(1, 4096)],
  ALL: [0x0011, yes],
  KIND: [0x0012, int(1, [1, 2])],
  WATCH_REF: [0x0013, { type: 'fields' }],
  AS: [0x0014, text(1, 255)],
  DURATION_MS: [0x0015, u64],
  NAMES: [0x0016, yes],
  METHOD: [0x0017, { ...text(1, 16), match: /^[A-Z-]+$/ }],
  TARGET: [0x0018, text(1, 4096)],
  CONTENT_TYPE: [0x0019, text(1, 128)],
  KEY: [0x001a, text(1, 1020)],
  ALGORITHM: [0x001b, text(1, 64)],
  AAD: [0x001c, text(1, 32768)],
  SIGNATURE: [0x001d, bytes(1, 57344)],
  STREAM: [0x001e, u64],
  FINAL: [0x001f, yes],
  INDEX: [0x0020, int(2)],
  ERROR: [0x0021, int(2, null)],
  MESSAGE: [0x0022, text(1, 1024)],
  FRESHNESS: [0x0023, int(1, [1, 2, 3])],
  AGE_MS: [0x0024, u64],
  ID: [0x0025, text(1, 128)],
  NAME: [0x0026, text(1, 1020)],
  VERSION: [0x0027, u64],
  UPDATED_AT: [0x0028, time],
  EXPIRES_AT: [0x0029, time],
  CONTENT: [0x002a, int(1, [1, 2, 3])],
  POSITION: [0x002b, bytes(16, 16)],
  CHANGED: [0x002c, yes],
  REASON: [0x002d, int(1)],
  DATA: [0x002e, bytes(0, 1048576)],
  VALUE: [0x002f, bytes(0, 16777216)],
  ROW: [0x0030, { type: 'fields' }],
  STAT: [0x0040, { type: 'fields' }],
  STAT_NAME: [0x0041, text(1, 128)],
  STAT_UINT: [0x0042, u64],
  STAT_TEXT: [0x0043, text(0, 1024)],
  PROTOCOL: [0x0050, int(2)],
  BUILD: [0x0051, text(1, 128)],
  COUNT: [0x0052, u64],
  FAILED: [0x0053, u64],
  ALLOWED: [0x0060, yes],
  RULE: [0x0061, text(1, 1024)],
  WHY: [0x0062, text(1, 1024)],
  CACHED: [0x0063, yes],
  NEXT_REFRESH_MS: [0x0064, u64],
  LAST_ERROR: [0x0065, int(2, null)],
  DRILL_READ: [0x0070, { type: 'fields' }],
  DRILL_VALUE: [0x0071, { type: 'fields' }],
  UNUSABLE_IN_MS: [0x0072, u64],
  LIMIT: [0x0073, int(1)],
  ELAPSED_MS: [0x0074, u64],
  TEXT: [0x0080, text(0, 16777216)],
  STATUS: [0x0090, int(2)],
  VALID: [0x0091, yes],
  VERIFIED_BY: [0x0092, int(1)],
  SEAL: [0x0093, yes],
  HEADER: [0x0094, bytes(1, 8192)],
  RETRY_AFTER_MS: [0x0095, u64],
};

const BY_TAG = new Map(
  Object.entries(FIELDS).map(([name, [tag, form]]) => [tag, { name, form }]));

/**
 * Section 4. What a message, or a nested field, may hold; "!" after a name:
 * it must; "*": any number; "+": 1 to 256. check: what else must hold.
 */
const TERMS = 'DEADLINE_MS MAX_AGE_MS MAX_STALE_MS TERMS';
const ITEM = 'FRESHNESS AGE_MS ID NAME VERSION UPDATED_AT EXPIRES_AT';

/** Just one of the two. */
const either = (a, b) => (f) => {
  if ((f[a] === undefined) === (f[b] === undefined)) {
    throw bad(`both or none of ${a} and ${b}`);
  }
};

const refOrAll = (f) => {
  if ((f.REF.length === 0) === (f.ALL === undefined)) {
    throw bad('both or none of REF and ALL');
  }
};

const result = (f) => {
  if ((f.CONTENT === undefined) !== (f.VALUE === undefined)) {
    throw bad('CONTENT without VALUE, or the reverse');
  }
  if (f.ERROR !== undefined && f.VALUE !== undefined) {
    throw bad('VALUE next to ERROR');
  }
};

export const NESTED = {
  WATCH_REF: ['REF! POSITION'],
  ROW: ['KIND! ID! NAME! VERSION UPDATED_AT EXPIRES_AT FRESHNESS AGE_MS'],
  STAT: ['STAT_NAME! STAT_UINT STAT_TEXT', (f) => {
    if (f.STAT_UINT !== undefined && f.STAT_TEXT !== undefined) {
      throw bad('a figure with two values');
    }
  }],
  DRILL_READ: ['REF! COUNT! FRESHNESS ERROR', either('FRESHNESS', 'ERROR')],
  DRILL_VALUE: ['KIND! ID! NAME! UNUSABLE_IN_MS LIMIT'],
};

const TO_AGENT = {
  HELLO: [0x01, 'PROTOCOL! BUILD'],
  PING: [0x02, ''],
  GET: [0x03, `${TERMS} REF+`],
  LIST: [0x04, `${TERMS} KIND`],
  STATUS: [0x05, ''],
  REFRESH: [0x06, 'DEADLINE_MS REF* ALL', refOrAll],
  PURGE: [0x07, 'REF* ALL', refOrAll],
  WATCH: [0x08, 'DEADLINE_MS WATCH_REF+'],
  CANCEL: [0x09, ''],
  REJECT: [0x0a, 'DEADLINE_MS REF! VERSION POSITION'],
  EXPLAIN: [0x0b, 'REF! AS'],
  DRILL: [0x0c, 'DURATION_MS!'],
  METRICS: [0x0d, 'NAMES'],
  CALL: [0x0e, `${TERMS} METHOD! TARGET! REF CONTENT_TYPE DATA`],
  ENCRYPT: [0x0f, 'DEADLINE_MS KEY ALGORITHM AAD DATA!'],
  DECRYPT: [0x10, 'DEADLINE_MS KEY AAD DATA!', (f) => {
    checkText(f.DATA, text(1, 1048576));
  }],
  SIGN: [0x11, 'DEADLINE_MS KEY! ALGORITHM DATA!'],
  VERIFY: [0x12, 'DEADLINE_MS KEY! SIGNATURE! DATA!'],
  STREAM_OPEN: [0x13, 'DEADLINE_MS AAD SEAL KEY HEADER',
    either('SEAL', 'HEADER')],
  STREAM_DATA: [0x14, 'STREAM! FINAL DATA!', (f) => {
    if (f.DATA.length > 65553) throw bad('DATA of a chunk is too long');
  }],
};

const TO_CLIENT = {
  HELLO: [0x80, 'PROTOCOL! BUILD'],
  RESULT: [0x81, `INDEX! ERROR MESSAGE ${ITEM} CHANGED CONTENT VALUE POSITION`,
    result],
  ROWS: [0x82, 'ROW* FRESHNESS AGE_MS'],
  STATS: [0x83, 'STAT*'],
  DONE: [0x84, 'COUNT FAILED'],
  ERROR: [0x85, 'ERROR! MESSAGE'],
  EVENT: [0x86, 'INDEX! REASON! POSITION!'],
  EXPLAINED: [0x87,
    `ALLOWED RULE WHY CACHED ${ITEM} NEXT_REFRESH_MS LAST_ERROR MESSAGE`],
  DRILLED: [0x88,
    'DRILL_READ* DRILL_VALUE* DURATION_MS ELAPSED_MS COUNT FAILED'],
  METRICS_TEXT: [0x89, 'TEXT!'],
  CALLED: [0x8a,
    'STATUS! CONTENT_TYPE RETRY_AFTER_MS FRESHNESS AGE_MS VALUE'],
  VERIFIED: [0x8b, 'VALID VERIFIED_BY!'],
  STREAM_BYTES: [0x8c, 'VALUE!'],
};

const parseShape = ([names, check]) => ({
  check,
  fields: new Map(names.split(' ').filter(Boolean).map((item) => {
    const name = item.replace(/[!*+]$/, '');
    return [name, {
      must: /[!+]$/.test(item),
      repeated: /[*+]$/.test(item),
      max256: name.endsWith('REF'),
    }];
  })),
});

const SHAPES = new Map();
export const TYPES = { toAgent: {}, toClient: {} };
for (const [side, list] of [['toAgent', TO_AGENT], ['toClient', TO_CLIENT]]) {
  for (const [name, [type, ...shape]] of Object.entries(list)) {
    TYPES[side][name] = type;
    SHAPES.set(type, { name, ...parseShape(shape) });
  }
}
for (const [name, shape] of Object.entries(NESTED)) {
  SHAPES.set(name, { name, ...parseShape(shape) });
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function checkText(content, { min, max }) {
  if (content.length < min || content.length > max) {
    throw bad('a text is too short or too long');
  }
  let s;
  try {
    s = utf8.decode(content);
  } catch {
    throw bad('a text is no UTF-8');
  }
  if (content.includes(0)) throw bad('a text holds NUL');
  return s;
}

function decodeInt(content, { size, type, oneOf }) {
  if (content.length !== size) throw bad('a number of the wrong length');
  if (type === 'time') return content.readBigInt64BE();
  const n = size === 8 ? content.readBigUInt64BE()
    : content.readUIntBE(0, size);
  if (oneOf === null) {
    // An error: 0 is none, and one that is not known is an internal one.
    if (n === 0) throw unsupported('an error that is none');
    return n >= ERRORS.length ? 15 : n;
  }
  if (oneOf !== undefined && !oneOf.includes(n)) {
    throw unsupported('a number of a later version');
  }
  return n;
}

function decodeContent(name, form, content) {
  switch (form.type) {
    case 'fields':
      return decodeFields(content, SHAPES.get(name));
    case 'bytes':
      if (content.length < form.min || content.length > form.max) {
        throw bad(`${name} is too short or too long`);
      }
      return content;
    case 'text': {
      const s = checkText(content, form);
      if (form.match && !form.match.test(s)) throw bad(`a ${name} like that`);
      return s;
    }
    default:
      return decodeInt(content, form);
  }
}

/** Fields of a body: {NAME: value}; of repeated ones an array. */
function decodeFields(body, shape) {
  const out = {};
  for (let at = 0; at < body.length;) {
    if (body.length - at < 6) throw bad('a field that is cut');
    const tag = body.readUInt16BE(at);
    const length = body.readUInt32BE(at + 2);
    at += 6;
    if (length > body.length - at) throw bad('a field reaches past the end');
    const content = body.subarray(at, at + length);
    at += length;
    const known = BY_TAG.get(tag);
    const rule = known && shape.fields.get(known.name);
    if (rule === undefined) {
      if (known === undefined && tag >= 0x8000) {
        throw unsupported('a critical field');
      }
      continue;
    }
    const { name, form } = known;
    if (!rule.repeated && out[name] !== undefined) {
      throw bad(`${name} comes twice`);
    }
    const value = decodeContent(name, form, content);
    if (!rule.repeated) out[name] = value;
    else if ((out[name] ??= []).push(value) > 256 && rule.max256) {
      throw bad(`more than 256 ${name}`);
    }
  }
  for (const [name, { must, repeated }] of shape.fields) {
    if (must && !(name in out)) throw bad(`${name} is missing`);
    if (repeated) out[name] ??= [];
  }
  shape.check?.(out);
  return out;
}

/** What stands before a body. Throws what ends a connection. */
export function decodeHeader(buf) {
  const header = {
    length: buf.readUInt32BE(0),
    version: buf[4],
    type: buf[5],
    flags: buf.readUInt16BE(6),
    id: buf.readBigUInt64BE(8),
  };
  const max = header.type < 0x80 ? MAX_TO_AGENT : MAX_TO_CLIENT;
  if (header.length > max) {
    throw new ProtocolError('too-large', 'a frame over the limit');
  }
  if (header.version !== 1) throw unsupported('another version');
  return header;
}

/** {type, name, flags, id, fields} of a whole frame. */
export function decodeFrame(buf) {
  const header = decodeHeader(buf);
  const { type, flags, id } = header;
  if (flags & (CRITICAL_FLAGS | FD)) throw unsupported('a critical flag');
  const shape = SHAPES.get(type);
  if (shape === undefined) throw unsupported(`messages of type ${type}`);
  const fields = decodeFields(
    buf.subarray(HEADER, HEADER + header.length), shape);
  return { type, name: shape.name, flags, id, fields };
}

function encodeInt(value, { size, type }) {
  const buf = Buffer.alloc(size);
  if (type === 'time') buf.writeBigInt64BE(BigInt(value));
  else if (size === 8) buf.writeBigUInt64BE(BigInt(value));
  else buf.writeUIntBE(Number(value), 0, size);
  return buf;
}

function encodeField(name, value) {
  const [tag, form] = FIELDS[name];
  let content;
  if (form.type === 'fields') content = encodeFields(value);
  else if (form.type === 'text') content = Buffer.from(value, 'utf8');
  else if (form.type === 'bytes') content = Buffer.from(value);
  else content = encodeInt(value, form);
  const head = Buffer.alloc(6);
  head.writeUInt16BE(tag);
  head.writeUInt32BE(content.length, 2);
  return Buffer.concat([head, content]);
}

/** Absent ones are undefined; an array is a repeated one. In their order. */
function encodeFields(fields) {
  const parts = [];
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const all = Array.isArray(value) ? value : [value];
    for (const one of all) parts.push(encodeField(name, one));
  }
  return Buffer.concat(parts);
}

/** A frame to the agent; or, for tests, of any type. */
export function encodeFrame({ name, type, flags = 0, id = 0n, fields = {} }) {
  const body = encodeFields(fields);
  const head = Buffer.alloc(HEADER);
  head.writeUInt32BE(body.length);
  head[4] = 1;
  head[5] = type ?? TYPES.toAgent[name];
  head.writeUInt16BE(flags, 6);
  head.writeBigUInt64BE(id, 8);
  return Buffer.concat([head, body]);
}
