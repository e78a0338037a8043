"""What the tests of the SDK stand on: the target that it is pointed at, a
client for each test, and the note of which methods have been called."""

import base64
import importlib
import inspect
import json
import os
import pkgutil
import re
import secrets
import unittest
import unittest.mock
import urllib.error
import urllib.request

import quantumapi
import quantumapi.client
from quantumapi.models import applications as apps_m
from quantumapi.models import keys as keys_m

# These cannot succeed, whatever they are given: see calls_unsendable.py.
NEVER_SENT = {"encryption.sign", "encryption.verify"}
SOON = "2099-01-02T03:04:05Z"


def name(kind):
    return f"sdk/{kind} {secrets.token_hex(6)}"


def b64(data):
    return base64.b64encode(data).decode()


def b64d(text):
    return base64.b64decode(text, validate=True)


def client_classes():
    """All classes of the SDK that are called a client."""
    found = set()
    for info in pkgutil.iter_modules(quantumapi.client.__path__):
        module = importlib.import_module("quantumapi.client." + info.name)
        found |= {c for n, c in inspect.getmembers(module, inspect.isclass)
                  if n.endswith("Client") and
                  c.__module__.startswith("quantumapi.client")}
    return found


def methods(cls):
    return {n for n, f in inspect.getmembers(cls, callable)
            if not n.startswith("_") and inspect.isroutine(f)}


class Watched:
    """A client that notes which of its methods have done what they should."""

    def __init__(self, real, label, called):
        self._real, self._label, self._called = real, label, called

    def __getattr__(self, attribute):
        found = getattr(self._real, attribute)
        if attribute.startswith("_") or not callable(found):
            return found

        def call(*args, **kw):
            v = found(*args, **kw)
            if not inspect.isawaitable(v):
                self._called.add(f"{self._label}.{attribute}")
            return v

        async def call_and_wait(*args, **kw):
            v = await found(*args, **kw)
            self._called.add(f"{self._label}.{attribute}")
            return v

        return call_and_wait if inspect.iscoroutinefunction(found) else call


class Common:
    """A target, a client for each test, and what the tests share."""

    TARGET = None

    @classmethod
    def setUpClass(cls):
        cls.called = set()
        cls.ran = set()
        cls.refused = set()     # what an agent need not hand on
        cls.target = cls.TARGET()
        cls.addClassCleanup(cls.target.stop)
        cls.target.start()
        # No variable but these two, and no proxy between.
        cleared = {n: v for n, v in os.environ.items()
                   if not n.startswith("QUANTUMAPI_") and
                   not n.lower().endswith("_proxy")}
        cls.enterClassContext(unittest.mock.patch.dict(
            os.environ, {**cleared, "QUANTUMAPI_BASE_URL": cls.target.url,
                         "QUANTUMAPI_API_KEY": cls.target.key}, clear=True))

    @classmethod
    def tearDownClass(cls):
        # Only where all tests have run: one alone calls what it calls.
        every = set(unittest.defaultTestLoader.getTestCaseNames(cls))
        missing = cls.wanted() - cls.called - NEVER_SENT
        missing |= cls.never_asked() - cls.refused
        if cls.ran == every and missing:
            raise AssertionError("no test calls " + ", ".join(sorted(missing)))

    @classmethod
    def never_asked(cls):
        """The endpoints of the sandbox that no request has come to."""
        sandbox = cls.target.sandbox
        asked = set(sandbox.requests())
        out = set()
        for e in sandbox.control("GET", "/endpoints")["endpoints"]:
            end = f"{e['method']} {e['path']}"
            pattern = re.compile(re.sub(r"\{[^}]*\}", "[^/]+", end))
            if not any(pattern.fullmatch(a) for a in asked):
                out.add(end)
        return out

    @classmethod
    def wanted(cls):
        """"label.method" of every method of every client class."""
        client = quantumapi.QuantumAPIClient()
        out = {"client." + m for m in methods(quantumapi.QuantumAPIClient)}
        out |= {"sync." + m for m in methods(quantumapi.QuantumAPISyncClient)}
        seen = {quantumapi.QuantumAPIClient, quantumapi.QuantumAPISyncClient}
        for label, part in vars(client).items():
            if type(part) in client_classes():
                seen.add(type(part))
                out |= {f"{label.removeprefix('_')}.{m}"
                        for m in methods(type(part))}
        assert seen == client_classes(), "client classes out of reach"
        return out

    async def asyncSetUp(self):
        self.client = quantumapi.QuantumAPIClient()
        self.addAsyncCleanup(self.client.close)
        for label in vars(self.client):
            real = getattr(self.client, label)
            if type(real) in client_classes():
                label = label.removeprefix("_")
                setattr(self, label, Watched(real, label, self.called))

    async def asyncTearDown(self):
        self.ran.add(self._testMethodName)

    # --- shorthands ---

    def typed(self, v, kind, **fields):
        """v is of this kind, and has these fields."""
        self.assertIsInstance(v, kind)
        for field, want in fields.items():
            self.assertEqual(getattr(v, field), want, field)
        return v

    def raw(self, method, path, body=None, status=200):
        """The same endpoint without the SDK: headers and body."""
        request = urllib.request.Request(
            self.target.url + "/api/v1" + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Api-Key": self.target.key,
                     "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as r:
                got, headers, data = r.status, r.headers, r.read()
        except urllib.error.HTTPError as e:
            got, headers, data = e.code, e.headers, e.read()
        self.assertEqual(got, status, data)
        return headers, data

    def http(self, *args, **kw):
        """Its body as JSON; None: there is none."""
        data = self.raw(*args, **kw)[1]
        return json.loads(data) if data else None

    async def secret(self, **kw):
        kw.setdefault("name", name("secret"))
        kw.setdefault("value", "v")
        return await self.secrets.create(**kw)

    async def key(self, key_type="encryption", algorithm="ML-KEM-768", **kw):
        return await self.keys.generate(
            name("key"), keys_m.KeyType(key_type), algorithm, **kw)

    async def app(self, kind="WebApp"):
        made = await self.applications.create(
            name("app"), apps_m.ApplicationType(kind),
            redirect_uris=["https://app.example/callback"])
        return made.application

    async def user(self, app, **kw):
        return await self.end_users.create(
            app.id, secrets.token_hex(6) + "@example.org", "Ann Other", **kw)
