#!/usr/bin/env python3
"""The official SDK, unchanged, against the sandbox and through the agent.

Run by env.py in an environment that has the SDK. Every method of every client
class is called, and what it returns is looked at; a method that the SDK has
and no test calls is a failure. So is an endpoint of the sandbox that nobody
has asked for. All that is set are the SDK's own two
variables, QUANTUMAPI_BASE_URL and QUANTUMAPI_API_KEY.
"""

import json
import unittest
import warnings

import quantumapi
from quantumapi.client.base import BaseClient
from quantumapi.models import audit as audit_m
from quantumapi.models import compliance as comp_m
from quantumapi.models import health as health_m
from quantumapi.models import keys as keys_m
from quantumapi.models import log_streams as logs_m
from quantumapi.models import qrng as qrng_m
from quantumapi.models import resource_groups as groups_m
from quantumapi.models import secrets as sec_m
from quantumapi.models import usage as usage_m

import target
from calls_beyond import BeyondCalls
from calls_identity import IdentityCalls
from calls_keys import KeyCalls
from calls_secrets import SecretCalls
from calls_tier2 import Tier2Calls
from calls_unsendable import UnsendableCalls
from common import Watched, client_classes, name

VERSION = "0.25.0"


class Sdk(SecretCalls, KeyCalls, IdentityCalls, Tier2Calls, UnsendableCalls,
          BeyondCalls):
    """All of them; a subclass says what they run against."""

    async def test_version(self):
        self.assertEqual(quantumapi.__version__, VERSION)

    # --- what all of them stand on ---

    async def test_base_client(self):
        new = name("base")
        made = await self.base_client.post(
            "/api/v1/secrets", json_data={"name": new, "value": "v"})
        path = "/api/v1/secrets/" + made["id"]
        got = await self.base_client.get(path, params={"include": "all"})
        self.assertEqual((got["name"], got["value"]), (new, "v"))
        got = await self.base_client.put(path + "/value",
                                         json_data={"value": "w"})
        self.assertEqual(got["version"], 2)
        got = await self.base_client.patch(path, json_data={"notes": "n"})
        self.assertEqual(got["id"], made["id"])
        data = await self.base_client.get_bytes(path)
        self.assertEqual(json.loads(data)["value"], "w")
        self.assertEqual(await self.base_client.delete(path), {})
        with self.assertRaises(quantumapi.NotFoundError):
            await self.base_client.get(path)
        link = await self.secrets.create_shared_link((await self.secret()).id)
        got = await self.base_client.post_anonymous(
            "/api/v1/share/" + link.token)
        self.assertEqual(got["value"], "v")
        await self.base_client.close()

    async def test_context_manager_and_close(self):
        async with quantumapi.QuantumAPIClient() as client:
            self.assertEqual((await client.health.check()).status, "Healthy")
        with self.assertRaises(RuntimeError):
            await client.health.check()
        client = quantumapi.QuantumAPIClient()
        await Watched(client, "client", self.called).close()
        with self.assertRaises(RuntimeError):
            await client.health.check()

    async def test_a_wrong_key_is_refused(self):
        async with quantumapi.QuantumAPIClient(api_key="qapi_wrong") as bad:
            with self.assertRaises(quantumapi.AuthenticationError):
                await bad.secrets.list()

    # --- the synchronous client, which wraps the other ---

    def test_sync_client(self):
        sync = quantumapi.QuantumAPISyncClient()
        parts = {n for n in vars(sync) if not n.startswith("_")}
        real = {n for n, v in vars(sync._async_client).items()
                if type(v) in client_classes() - {BaseClient}}
        self.assertEqual(parts, real)
        made = self.typed(sync.secrets.create(name("sync"), "v"),
                          sec_m.SecretWithValueResponse, value="v")
        self.typed(sync.secrets.get(made.id), sec_m.SecretWithValueResponse,
                   value="v")
        self.typed(sync.secrets.list(), sec_m.SecretListResponse)
        self.typed(sync.keys.list(), keys_m.KeyListResponse)
        self.typed(sync.audit.list(), audit_m.AuditLogListResponse)
        self.typed(sync.resource_groups.list(),
                   groups_m.ResourceGroupListResponse)
        self.assertIsInstance(sync.applications.list(), list)
        self.assertIsInstance(sync.roles.list(), list)
        self.typed(sync.health.check(), health_m.HealthResponse)
        self.typed(sync.qrng.get_entropy(1), qrng_m.QrngEntropyResponse)
        self.typed(sync.compliance.get_overview(), comp_m.ComplianceOverview)
        self.typed(sync.log_streams.list(), logs_m.LogStreamListResponse)
        self.typed(sync.usage.get_storage(), usage_m.StorageUsage)
        Watched(sync, "sync", self.called).close()
        with self.assertRaises(RuntimeError):
            sync.health.check()


class Direct(Sdk, unittest.IsolatedAsyncioTestCase):
    """Against the sandbox."""

    TARGET = target.Service


class ThroughAgent(Sdk, unittest.IsolatedAsyncioTestCase):
    """Through the agent's http-listen, with its local token for a key."""

    TARGET = target.ThroughAgent


if __name__ == "__main__":
    warnings.simplefilter("default")
    unittest.main()
