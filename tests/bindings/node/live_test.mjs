// node live_test.mjs NAME..., with QAPI_AGENT_SOCK, SERVICE and API_KEY: these
// tests of the client against a real daemon, which test_node.py has started.

import assert from 'node:assert/strict';
import { createPublicKey, verify as cryptoVerify } from 'node:crypto';
import { Agent, isNothing } from './client.mjs';

const { SERVICE, API_KEY } = process.env;

/** Behind the agent's back. */
async function service(method, path, body) {
  const r = await fetch(SERVICE + path, {
    method,
    headers: { 'X-Api-Key': API_KEY, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.ok(r.ok, `${method} ${path}: ${r.status}`);
  return r.status === 204 ? undefined : r.json();
}

/** Events as they come; next() waits for one. */
class Events {
  #list = [];
  #wake;

  push = (e) => {
    this.#list.push(e);
    this.#wake?.();
  };

  /** The next with this reason; the same event may come twice. */
  async next(reason) {
    for (;;) {
      while (this.#list.length === 0) {
        await new Promise((resolve) => { this.#wake = resolve; });
      }
      const e = this.#list.shift();
      if (e.reason === reason) return e;
    }
  }
}

const refused = (promise, name) => assert.rejects(promise, { name });
const tests = {};

tests.ping = async (agent) => {
  await agent.ping();
  assert.match(agent.hello.BUILD, /^qapi-agentd /);
  assert.equal(agent.hello.PROTOCOL, 1);
};

tests.get = async (agent) => {
  const got = await agent.get('qapi://secrets/db%2Fpassword');
  assert.equal(got.text, 'hünter2\0 ');
  assert.equal(got.name, 'db/password');
  assert.equal(got.freshness, 'fresh');
  assert.ok(got.isText);
  assert.equal(got.version, 1n);
  const user = await agent.get('qapi://secrets/db/password?field=username');
  assert.equal(user.text, 'app');
  const pem = await agent.get('qapi://keys/signing/public?format=pem');
  assert.equal(createPublicKey(pem.text).asymmetricKeyType, 'ed25519');
  await refused(agent.get('qapi://secrets/none'), 'not-found');
  await refused(agent.get('nonsense'), 'bad-request');
};

tests.getMany = async (agent) => {
  const refs = Array.from({ length: 200 }, (_, i) => (i % 2
    ? 'qapi://secrets/none' : 'qapi://secrets/db/password'));
  const got = await agent.getMany(refs, { deadlineMs: 20000 });
  assert.equal(got.length, 200);
  got.forEach((g, i) => assert.equal(
    i % 2 ? g.name : g.text, i % 2 ? 'not-found' : 'hünter2\0 '));
};

tests.large = async (agent) => {
  // Comes in many reads, and another answer behind it.
  const [large] = await Promise.all(
    [agent.get('qapi://secrets/large'), agent.ping()]);
  assert.equal(large.value.length, 60000);
};

tests.terms = async (agent) => {
  await refused(agent.get('qapi://secrets/cold', { onlyIfCached: true }),
    'upstream-unavailable');
  const got = await agent.get('qapi://secrets/cold', { fresh: true });
  assert.equal(got.text, 'never read');
  assert.equal(got.position, undefined);
  const again = await agent.get('qapi://secrets/cold',
    { onlyIfCached: true, wantPosition: true });
  assert.equal(again.position.length, 16);
};

tests.list = async (agent) => {
  const all = await agent.list();
  const names = (kind) => all.filter((r) => r.kind === kind)
    .map((r) => r.name).sort();
  assert.deepEqual(names('secret'),
    ['cold', 'db/password', 'large', 'watched']);
  assert.deepEqual(names('key'), ['mail', 'signing']);
  assert.deepEqual((await agent.list('key')).map((r) => r.kind),
    ['key', 'key']);
  assert.ok(all.every((r) => r.value === undefined));
};

tests.status = async (agent) => {
  const figures = await agent.status();
  assert.equal(figures['upstream.state'], 'ok');
};

tests.call = async (agent) => {
  const page = await agent.call('GET', '/audit-logs?pageSize=1');
  assert.equal(page.status, 200);
  assert.match(page.contentType, /^application\/json/);
  assert.equal(JSON.parse(page.body).items.length, 1);
  const made = await agent.call('POST', '/secrets', {
    body: JSON.stringify({ name: 'made', value: 'v' }),
  });
  assert.equal(made.status, 201);
  const { id } = JSON.parse(made.body);
  assert.equal((await agent.get('qapi://secrets/made')).text, 'v');
  const gone = await agent.call('DELETE', '/secrets/{id}',
    { ref: 'qapi://secrets/made' });
  assert.deepEqual([gone.status, gone.body.length], [204, 0]);
  const missing = await agent.call('GET', `/api/v1/secrets/${id}`);
  assert.equal(missing.status, 404);
  await refused(agent.call('get', '/secrets'), 'bad-request');
};

tests.encrypt = async (agent) => {
  const data = Buffer.from([0, 255, 1, 254]);
  const payload = await agent.encrypt(data, { key: 'mail', aad: 'order 7' });
  assert.deepEqual(await agent.decrypt(payload, { aad: 'order 7' }), data);
  await refused(agent.decrypt(payload, { aad: 'order 8' }), 'bad-request');
  await refused(agent.encrypt(data, { key: 'none' }), 'not-found');
};

tests.sign = async (agent) => {
  const data = Buffer.from('hello\0');
  const signature = await agent.sign(data, 'signing');
  const pem = await agent.get('qapi://keys/signing/public?format=pem');
  assert.ok(cryptoVerify(null, data, createPublicKey(pem.text), signature));
  assert.deepEqual(await agent.verify(data, signature, 'signing'),
    { valid: true, by: 'agent' });
  signature[0] ^= 1;
  assert.equal((await agent.verify(data, signature, 'signing')).valid, false);
};

tests.seal = async (agent) => {
  for (const size of [0, 65536, 150000]) {
    const data = Buffer.alloc(size, 'abc');
    const envelope = await agent.seal(data, { key: 'mail', aad: 'a' });
    // docs/envelope.md: the length of the header is its bytes 8 to 11.
    const header = envelope.readUInt32BE(8);
    assert.deepEqual(await agent.open(envelope, header, { aad: 'a' }), data);
    await refused(agent.open(envelope, header, { aad: 'b' }), 'bad-request');
    const cut = envelope.subarray(0, header + 65553);
    if (size > 65536) await refused(agent.open(cut, header), 'bad-request');
  }
};

tests.watch = async (agent) => {
  const ref = 'qapi://secrets/watched';
  const { position, id } = await agent.get(ref, { wantPosition: true });
  const events = new Events();
  const sub = await agent.watch(
    [{ ref, position }, 'qapi://secrets/none', 'nonsense'], events.push);
  assert.deepEqual(sub.positions[0], position);
  assert.equal(sub.results[0].version, 1n);
  assert.equal(sub.results[1].name, 'not-found');
  assert.ok(isNothing(sub.positions[1]));
  assert.equal(sub.results[2].name, 'bad-request');
  assert.equal(sub.positions[2], undefined);

  await service('PUT', `/secrets/${id}/value`, { value: 'two' });
  await agent.refresh([ref]);
  const event = await events.next('changed');
  assert.equal(event.ref, ref);
  assert.notDeepEqual(event.position, position);
  assert.deepEqual(sub.positions[0], event.position);
  assert.equal((await agent.get(ref)).text, 'two');

  await service('DELETE', `/secrets/${id}`);
  await agent.refresh([ref]);
  assert.equal((await events.next('gone')).index, 0);
  assert.ok(isNothing(sub.positions[0]));
  await sub.cancel();

  // Nothing is lost between a reading and a subscription.
  const late = new Events();
  const again = await agent.watch([{ ref, position }], late.push);
  await late.next('gone');
  await again.cancel();
};

tests.closed = async (agent) => {
  const waiting = agent.watch(['qapi://secrets/cold'], () => {});
  await waiting;
  agent.close();
  await refused(agent.ping(), 'closed');
  await refused(Agent.connect('/nowhere/agent.sock'), 'Error');
};

for (const name of process.argv.slice(2)) {
  const agent = await Agent.connect();
  try {
    await tests[name](agent);
    console.log(`ok ${name}`);
  } catch (e) {
    console.log(`FAILED ${name}: ${e.stack}`);
    process.exitCode = 1;
  } finally {
    agent.close();
  }
}
