// A client of qapi-agent over its socket: any number of requests at a time on
// one connection, each a promise. Plain Node, no packages.

import { connect as connectTo } from 'node:net';
import {
  HEADER, MORE, TYPES, decodeFrame, decodeHeader, encodeFrame, errorName,
} from './codec.mjs';

export class AgentError extends Error {
  /** name: stable, as "not-found"; message: a sentence for people. */
  constructor(name, message) {
    super(message ?? name);
    this.name = name;
  }
}

/** Section 1. */
export function defaultSocket(env = process.env, uid = process.getuid()) {
  if (env.QAPI_AGENT_SOCK) return env.QAPI_AGENT_SOCK;
  return uid !== 0 && env.XDG_RUNTIME_DIR
    ? `${env.XDG_RUNTIME_DIR}/qapi-agent/agent.sock`
    : '/run/qapi-agent/agent.sock';
}

const FRESHNESS = [undefined, 'fresh', 'stale', 'expired'];
const REASONS = [undefined, 'changed', 'expiring', 'expired', 'gone', 'stale',
  'fresh-again'];
const KINDS = { secret: 1, secrets: 1, key: 2, keys: 2 };
const BYTES = 3;
const NOTHING = Buffer.alloc(16); // the position of no value

const failure = (f) => new AgentError(errorName(f.ERROR), f.MESSAGE);

/** What a RESULT or ROW says, in the words of a program. */
function item(f) {
  return {
    id: f.ID, name: f.NAME, version: f.VERSION,
    kind: f.KIND && (f.KIND === 1 ? 'secret' : 'key'),
    freshness: FRESHNESS[f.FRESHNESS], ageMs: f.AGE_MS,
    updatedAt: f.UPDATED_AT, expiresAt: f.EXPIRES_AT,
    position: f.POSITION, changed: f.CHANGED === 1,
    isText: f.CONTENT !== undefined && f.CONTENT !== BYTES,
    value: f.VALUE,
    get text() { return f.VALUE?.toString('utf8'); },
  };
}

/** Fields of the terms: {deadlineMs, maxAgeMs, maxStaleMs, …}. */
function terms({ deadlineMs, maxAgeMs, maxStaleMs, onlyIfCached, fresh,
  wantPosition } = {}) {
  const bits = (onlyIfCached ? 1 : 0) | (fresh ? 2 : 0) |
    (wantPosition ? 4 : 0);
  return {
    DEADLINE_MS: deadlineMs, MAX_AGE_MS: maxAgeMs, MAX_STALE_MS: maxStaleMs,
    TERMS: bits || undefined,
  };
}

export class Agent {
  #socket;
  #pending = new Map(); // id -> {frame(f), fail(error)}
  #lastId = 0n;
  #parts = []; // what has come of frames that are not complete
  #size = 0;

  /** Resolves when the agent has accepted the connection. */
  static connect(path = defaultSocket()) {
    return new Promise((resolve, reject) => {
      const socket = connectTo(path, () => {
        socket.off('error', reject);
        resolve(new Agent(socket));
      });
      socket.once('error', reject);
    });
  }

  /** Use connect(). */
  constructor(socket) {
    this.#socket = socket;
    this.hello = undefined; // {PROTOCOL, BUILD}, ahead of the first answer
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (e) => this.#end(new AgentError('closed', e.message)));
    socket.on('close', () => this.#end(
      new AgentError('closed', 'the agent closed the connection')));
  }

  close() {
    this.#socket.destroy();
  }

  #end(error) {
    const all = [...this.#pending.values()];
    this.#pending.clear();
    for (const p of all) p.fail(error);
  }

  #receive(chunk) {
    this.#parts.push(chunk);
    this.#size += chunk.length;
    if (this.#size < HEADER) return;
    let buf = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts);
    try {
      while (buf.length >= HEADER) {
        const whole = HEADER + decodeHeader(buf).length;
        if (buf.length < whole) break;
        this.#frame(decodeFrame(buf.subarray(0, whole)));
        buf = buf.subarray(whole);
      }
    } catch (e) {
      this.#end(e);
      this.#socket.destroy();
      return;
    }
    this.#parts = buf.length ? [buf] : [];
    this.#size = buf.length;
  }

  #frame(frame) {
    if (frame.name === 'HELLO') {
      this.hello = frame.fields;
      return;
    }
    if (frame.id === 0n) {
      // An ERROR about the connection as a whole; the agent closes it.
      if (frame.name === 'ERROR') this.#end(failure(frame.fields));
      return;
    }
    const p = this.#pending.get(frame.id);
    if (p === undefined) return;
    if (!(frame.flags & MORE)) this.#pending.delete(frame.id);
    try {
      p.frame(frame);
    } catch (e) {
      this.#pending.delete(frame.id);
      p.fail(e);
    }
  }

  /** Send; onFrame gets each answer. Returns the id. */
  #send(name, fields, onFrame, fail) {
    const id = ++this.#lastId;
    this.#pending.set(id, { frame: onFrame, fail });
    this.#socket.write(encodeFrame({ name, id, fields }));
    return id;
  }

  /** All frames that answer a request; rejects with an ERROR. */
  #ask(name, fields, answer) {
    return new Promise((resolve, reject) => {
      const frames = [];
      if (this.#socket.destroyed) {
        reject(new AgentError('closed', 'the connection is closed'));
        return;
      }
      this.#send(name, fields, (frame) => {
        if (frame.name === 'ERROR') throw failure(frame.fields);
        if (frame.name !== answer) {
          throw new AgentError('internal', `${name}: ${frame.name}?`);
        }
        frames.push(frame.fields);
        if (!(frame.flags & MORE)) resolve(frames);
      }, reject);
    });
  }

  async ping() {
    await this.#ask('PING', {}, 'DONE');
  }

  /** [{…item} or AgentError], in the order of refs (at most 256). */
  async getMany(refs, options) {
    const out = new Array(refs.length);
    const fields = { ...terms(options), REF: refs };
    for (const f of await this.#ask('GET', fields, 'RESULT')) {
      out[f.INDEX] = f.ERROR ? failure(f) : item(f);
    }
    return out;
  }

  async get(ref, options) {
    const [got] = await this.getMany([ref], options);
    if (got instanceof Error) throw got;
    return got;
  }

  /** kind: "secret", "key", or nothing for both. */
  async list(kind, options) {
    const frames = await this.#ask(
      'LIST', { ...terms(options), KIND: KINDS[kind] }, 'ROWS');
    return frames.flatMap((f) => f.ROW).map(item);
  }

  /** Have the service asked now; as getMany(), without values. */
  async refresh(refs, { deadlineMs } = {}) {
    const out = new Array(refs.length);
    const fields = { DEADLINE_MS: deadlineMs, REF: refs };
    for (const f of await this.#ask('REFRESH', fields, 'RESULT')) {
      out[f.INDEX] = f.ERROR ? failure(f) : item(f);
    }
    return out;
  }

  /** {"upstream.state": "ok", …} */
  async status() {
    const frames = await this.#ask('STATUS', {}, 'STATS');
    return Object.fromEntries(frames.flatMap((f) => f.STAT).map(
      (s) => [s.STAT_NAME, s.STAT_UINT ?? s.STAT_TEXT ?? null]));
  }

  /** {status, contentType, body, freshness, ageMs, retryAfterMs} */
  async call(method, target, { body, contentType, ref, ...options } = {}) {
    const [f] = await this.#ask('CALL', {
      ...terms(options), METHOD: method, TARGET: target, REF: ref,
      CONTENT_TYPE: contentType, DATA: body,
    }, 'CALLED');
    return {
      status: f.STATUS, contentType: f.CONTENT_TYPE,
      body: f.VALUE ?? Buffer.alloc(0), freshness: FRESHNESS[f.FRESHNESS],
      ageMs: f.AGE_MS, retryAfterMs: f.RETRY_AFTER_MS,
    };
  }

  /** The payload, a text. */
  async encrypt(data, { key, algorithm, aad, deadlineMs } = {}) {
    const [f] = await this.#ask('ENCRYPT', {
      DEADLINE_MS: deadlineMs, KEY: key, ALGORITHM: algorithm, AAD: aad,
      DATA: Buffer.from(data),
    }, 'RESULT');
    return item(f).text;
  }

  /** The bytes. */
  async decrypt(payload, { key, aad, deadlineMs } = {}) {
    const [f] = await this.#ask('DECRYPT', {
      DEADLINE_MS: deadlineMs, KEY: key, AAD: aad, DATA: Buffer.from(payload),
    }, 'RESULT');
    return f.VALUE;
  }

  async sign(data, key, { algorithm, deadlineMs } = {}) {
    const [f] = await this.#ask('SIGN', {
      DEADLINE_MS: deadlineMs, KEY: key, ALGORITHM: algorithm,
      DATA: Buffer.from(data),
    }, 'RESULT');
    return f.VALUE;
  }

  /** {valid, by: "agent" | "service"} */
  async verify(data, signature, key, { deadlineMs } = {}) {
    const [f] = await this.#ask('VERIFY', {
      DEADLINE_MS: deadlineMs, KEY: key, SIGNATURE: signature,
      DATA: Buffer.from(data),
    }, 'VERIFIED');
    return {
      valid: f.VALID === 1,
      by: { 1: 'agent', 2: 'service' }[f.VERIFIED_BY],
    };
  }

  /**
   * Bytes into an envelope, or out of one. chunks: an iterable of DATA, the
   * last being last; what comes out is trusted as a whole only at the end.
   */
  async #stream(open, chunks) {
    const id = this.#lastId + 1n;
    const [head] = await this.#ask('STREAM_OPEN', open, 'STREAM_BYTES');
    const answers = chunks.map((DATA, i) => this.#ask('STREAM_DATA', {
      STREAM: id, FINAL: i === chunks.length - 1 ? 1 : undefined, DATA,
    }, 'STREAM_BYTES'));
    const parts = await Promise.all(answers);
    return Buffer.concat([head.VALUE, ...parts.map(([f]) => f.VALUE)]);
  }

  /** An envelope of any number of bytes. */
  seal(data, { key, aad, deadlineMs } = {}) {
    const chunks = [];
    for (let at = 0; at === 0 || at < data.length; at += 65536) {
      chunks.push(data.subarray(at, at + 65536));
    }
    return this.#stream({ DEADLINE_MS: deadlineMs, AAD: aad, SEAL: 1,
      KEY: key }, chunks);
  }

  /** header: how long that of the envelope is, see docs/envelope.md. */
  open(envelope, header, { aad, deadlineMs } = {}) {
    const chunks = [];
    for (let at = header; at < envelope.length; at += 65553) {
      chunks.push(envelope.subarray(at, at + 65553));
    }
    return this.#stream({ DEADLINE_MS: deadlineMs, AAD: aad,
      HEADER: envelope.subarray(0, header) }, chunks);
  }

  /**
   * Subscribe. watched: references, or {ref, position}. onEvent({index, ref,
   * reason, position}) is called for each event; positions are kept for a
   * subscription anew. Resolves, when the agent has answered for each, with
   * {results, positions, cancel(), ended}: ended resolves when nothing is
   * watched any more, and rejects if the connection breaks.
   */
  watch(watched, onEvent, { deadlineMs } = {}) {
    const list = watched.map((w) => (typeof w === 'string' ? { ref: w } : w));
    const results = new Array(list.length);
    const positions = list.map((w) => w.position);
    let ready;
    let over;
    const begun = new Promise((resolve, reject) => {
      ready = { resolve, reject };
    });
    const ended = new Promise((resolve, reject) => {
      over = { resolve, reject };
    });
    ended.catch(() => {}); // nobody has to look
    let left = list.length;
    const result = (f) => {
      const first = results[f.INDEX] === undefined;
      results[f.INDEX] = f.ERROR ? failure(f) : item(f);
      if (f.POSITION === undefined) {
        positions[f.INDEX] = undefined; // not subscribed, or not any more
      } else if (first) {
        positions[f.INDEX] ??= f.POSITION;
      }
      if (first && --left === 0) ready.resolve(subscription);
    };
    const event = (f) => {
      const reason = REASONS[f.REASON];
      if (reason === undefined) return; // of a later version
      if (reason === 'changed' || reason === 'gone') {
        positions[f.INDEX] = f.POSITION;
      }
      onEvent({ index: f.INDEX, ref: list[f.INDEX].ref, reason,
        position: f.POSITION });
    };
    const id = this.#send('WATCH', {
      DEADLINE_MS: deadlineMs,
      WATCH_REF: list.map(({ ref, position }) => ({
        REF: ref, POSITION: position })),
    }, (frame) => {
      if (frame.name === 'ERROR') throw failure(frame.fields);
      if (frame.name === 'RESULT') result(frame.fields);
      if (frame.name === 'EVENT') event(frame.fields);
      if (!(frame.flags & MORE)) over.resolve();
    }, (error) => {
      ready.reject(error);
      over.reject(error);
    });
    const subscription = {
      results,
      positions,
      ended,
      cancel: () => {
        this.#socket.write(encodeFrame({ type: TYPES.toAgent.CANCEL, id }));
        return ended;
      },
    };
    return begun;
  }
}

export const isNothing = (position) => NOTHING.equals(position);
