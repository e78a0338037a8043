"""Every call on secrets."""

import secrets
import uuid
from datetime import datetime

import quantumapi
from quantumapi.models import secrets as sec_m

from common import Common, name


class SecretCalls(Common):
    async def test_secrets_create_and_get(self):
        value = "p\u00e4ss+w<o>rd&'\"\\ \u2713\0"
        made = await self.secret(
            value=value, description="d", content_type="password",
            labels=["prod", "db"], username="app", notes="n\nn",
            urls=[{"url": "https://db.example"}],
            totp_secret="JBSWY3DPEHPK3PXP",
            custom_fields=[{"name": "user", "value": "x", "type": "text"}])
        self.typed(made, sec_m.SecretWithValueResponse, value=value,
                   version=1, is_active=True, content_type="password")
        self.assertIsInstance(made.id, uuid.UUID)
        self.assertIsInstance(made.created_at, datetime)
        got = self.typed(
            await self.secrets.get(made.id), sec_m.SecretWithValueResponse,
            id=made.id, name=made.name, value=value, version=1,
            content_type="password", username="app",
            totp_secret="JBSWY3DPEHPK3PXP",
            urls=[{"url": "https://db.example"}])
        self.assertIsNone(got.created_at)   # not asked for
        self.assertIsNone(got.notes)
        got = await self.secrets.get(made.id, include=["notes", "labels"])
        self.typed(got, sec_m.SecretWithValueResponse, notes="n\nn",
                   labels=["prod", "db"], description=None)
        for token in ("all", "metadata"):
            self.typed(
                await self.secrets.get(made.id, include=[token]),
                sec_m.SecretWithValueResponse, description="d",
                labels=["prod", "db"], is_active=True, has_totp=True,
                is_favorite=False, created_at=made.created_at,
                custom_fields=[{"name": "user", "value": "x",
                                "type": "text"}])

    async def test_secrets_list(self):
        label = secrets.token_hex(6)
        made = [await self.secret(labels=[label], content_type="t")
                for _ in range(3)]
        page = self.typed(
            await self.secrets.list(label=label, page_size=2),
            sec_m.SecretListResponse, total=3, page=1, page_size=2,
            has_more=True)
        rest = await self.secrets.list(label=label, page_size=2, page=2)
        self.assertFalse(rest.has_more)
        self.assertEqual({s.id for s in page.secrets + rest.secrets},
                         {s.id for s in made})
        self.typed(page.secrets[0], sec_m.SecretResponse, version=1,
                   is_active=True, content_type="t", labels=[label])
        found = await self.secrets.list(search=made[0].name,
                                        content_type="t")
        self.assertEqual([s.id for s in found.secrets], [made[0].id])

    async def test_secrets_update(self):
        made = await self.secret(labels=["a"])
        new = name("renamed")
        got = await self.secrets.update(
            made.id, name=new, description="d", content_type="c",
            labels=["b"], notes="n", username="u", is_favorite=True,
            urls=[{"url": "https://x.example"}], totp_secret="JBSWY3DP",
            custom_fields=[{"name": "k", "value": "v"}])
        self.typed(got, sec_m.SecretResponse, id=made.id, name=new,
                   version=1, labels=["b"], is_favorite=True)
        self.typed(await self.secrets.get(made.id, include=["all"]),
                   sec_m.SecretWithValueResponse, name=new, notes="n",
                   value="v", labels=["b"], username="u", description="d",
                   totp_secret="JBSWY3DP", is_favorite=True)

    async def test_secrets_versions(self):
        made = await self.secret(value="one")
        await self.secrets.get(made.id)
        for version, value in ((2, "two"), (3, "three")):
            self.typed(await self.secrets.update_value(made.id, value),
                       sec_m.SecretResponse, id=made.id, version=version)
            # What was written is read next, be it through a cache.
            self.typed(await self.secrets.get(made.id),
                       sec_m.SecretWithValueResponse, value=value,
                       version=version)
        self.typed(await self.secrets.get_version(made.id, 1),
                   sec_m.SecretWithValueResponse, value="one", version=1)
        self.typed(await self.secrets.get(made.id, version=2),
                   sec_m.SecretWithValueResponse, value="two", version=2)
        self.typed(await self.secrets.rollback(made.id, 1),
                   sec_m.SecretResponse, version=4)
        self.typed(await self.secrets.get(made.id),
                   sec_m.SecretWithValueResponse, value="one", version=4)
        history = self.typed(await self.secrets.list_versions(made.id),
                             sec_m.SecretVersionListResponse,
                             secret_id=made.id)
        self.assertEqual([(v.version, v.value) for v in history.versions],
                         [(4, "one"), (3, "three"), (2, "two"), (1, "one")])
        self.assertEqual(history.versions[0].changed_by, "apikey:sdk")
        few = await self.secrets.list_versions(made.id, max_versions=2)
        self.assertEqual(len(few.versions), 2)

    async def test_secrets_activity(self):
        made = await self.secret()
        await self.secrets.get(made.id)
        self.assertIsNone(await self.secrets.deactivate(made.id))
        with self.assertRaises(quantumapi.NotFoundError):
            await self.secrets.get(made.id)
        found = await self.secrets.list(search=made.name)
        self.assertEqual(found.secrets, [])
        found = await self.secrets.list(search=made.name,
                                        include_inactive=True)
        self.assertEqual([(s.id, s.is_active) for s in found.secrets],
                         [(made.id, False)])
        self.assertIsNone(await self.secrets.activate(made.id))
        self.assertEqual((await self.secrets.get(made.id)).value, "v")
        await self.secrets.deactivate(made.id)
        with self.assertWarns(DeprecationWarning):
            self.assertIsNone(await self.secrets.restore(made.id))
        self.assertEqual((await self.secrets.get(made.id)).value, "v")
        self.assertIsNone(await self.secrets.delete(made.id))
        with self.assertRaises(quantumapi.NotFoundError):
            await self.secrets.get(made.id)

    async def test_secrets_import(self):
        one, two = name("import"), name("import")
        await self.secret(name=one, value="old")
        got = await self.secrets.import_secrets([
            {"name": one, "value": "new"},
            {"name": two, "value": "v", "content_type": "t",
             "labels": ["l"], "description": "d"}])
        self.typed(got, sec_m.ImportSecretsResponse, created=1, updated=1,
                   failed=0)
        found = await self.secrets.list(search=two)
        self.typed(found.secrets[0], sec_m.SecretResponse, content_type="t",
                   labels=["l"])

    async def test_secrets_insights(self):
        made = await self.secret(value="abc")
        got = self.typed(await self.secrets.insights(made.id),
                         sec_m.SecretInsightResponse, secret_name=made.name,
                         strength="weak", risk_level="high")
        self.assertTrue(got.recommendations)
        self.assertTrue(got.analyzed_at)

    async def test_secrets_shared_links(self):
        made = await self.secret(value="shared")
        link = self.typed(
            await self.secrets.create_shared_link(
                made.id, expires_in_hours=48, max_access_count=2,
                password="open"),
            sec_m.SharedLinkResponse, secret_id=str(made.id),
            max_access_count=2, has_password=True)
        self.assertTrue(link.token)
        self.assertEqual(
            self.secrets.share_url(link.token, "https://p.example/"),
            "https://p.example/share/" + link.token)
        for password, code in ((None, "password_required"),
                               ("wrong", "invalid_password")):
            with self.assertRaises(quantumapi.ValidationError) as e:
                await self.secrets.open_shared_link(link.token, password)
            self.assertEqual(e.exception.error_code, code)
        self.typed(await self.secrets.open_shared_link(link.token, "open"),
                   sec_m.OpenedSharedLinkResponse, value="shared",
                   access_count=1)
        with self.assertWarns(DeprecationWarning):
            other = await self.secrets.share(made.id, max_views=1, ttl="7d")
        self.typed(other, sec_m.SharedLinkResponse, max_access_count=1,
                   has_password=False)
        listed = self.typed(
            await self.secrets.list_shared_links(made.id),
            sec_m.SharedLinkListResponse, total_count=2)
        by_id = {x.id: x for x in listed.links}
        self.typed(by_id[link.id], sec_m.SharedLinkSummary, token="",
                   status="Active", access_count=1, has_password=True)
        self.assertIs(await self.secrets.revoke_shared_link(link.id), True)
        with self.assertRaises(quantumapi.QuantumAPIError):
            await self.secrets.open_shared_link(link.token, "open")
        with self.assertRaises(quantumapi.NotFoundError) as e:
            await self.secrets.open_shared_link("nothing/of this")
        self.assertEqual(e.exception.error_code, "link_not_found")
