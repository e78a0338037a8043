"""Applications, end-users, roles, audit, usage, health and randomness."""

import uuid
from datetime import date, datetime, timedelta, timezone

import quantumapi
from quantumapi.models import applications as apps_m
from quantumapi.models import audit as audit_m
from quantumapi.models import end_users as users_m
from quantumapi.models import health as health_m
from quantumapi.models import qrng as qrng_m
from quantumapi.models import roles as roles_m
from quantumapi.models import usage as usage_m

from common import Common, name


class IdentityCalls(Common):
    async def test_applications(self):
        made = self.typed(
            await self.applications.create(
                name("app"), apps_m.ApplicationType.WEB_APP,
                redirect_uris=["https://app.example/cb"], description="d",
                environment=apps_m.ApplicationEnvironment.STAGING,
                post_logout_redirect_uris=["https://app.example/bye"],
                allowed_scopes=["openid"]),
            apps_m.CreateApplicationResponse)
        self.assertTrue(made.client_secret)
        app = self.typed(made.application, apps_m.Application,
                         application_type="WebApp", environment="Staging",
                         is_active=True, is_confidential=True,
                         redirect_uris=["https://app.example/cb"],
                         allowed_scopes=["openid"])
        self.typed(await self.applications.get(app.id), apps_m.Application,
                   client_id=app.client_id, description="d")
        listed = await self.applications.list()
        self.assertIn(app.id, [a.id for a in listed])
        self.typed(listed[0], apps_m.Application)
        new = name("app")
        self.typed(
            await self.applications.update(
                app.id, new, apps_m.ApplicationEnvironment.PRODUCTION,
                ["https://app.example/2"], description="e",
                allowed_scopes=["openid", "email"]),
            apps_m.Application, id=app.id, display_name=new,
            environment="Production", description="e",
            redirect_uris=["https://app.example/2"])
        got = self.typed(await self.applications.rotate_secret(app.id),
                         apps_m.RotateSecretResponse,
                         client_id=app.client_id)
        self.assertNotEqual(got.client_secret, made.client_secret)
        self.assertIsNone(await self.applications.delete(app.id))
        with self.assertRaises(quantumapi.NotFoundError):
            await self.applications.get(app.id)
        public = await self.app("SPA")
        self.assertFalse(public.is_confidential)

    async def test_end_users(self):
        app = await self.app()
        user = self.typed(
            await self.user(app, first_name="Ann", last_name="Other",
                            phone_number="+331", password="Passw0rd!long",
                            email_verified=True, metadata='{"a":1}'),
            users_m.EndUser, application_id=app.id, email_verified=True,
            first_name="Ann", is_blocked=False, is_locked_out=False,
            login_count=0, metadata='{"a":1}')
        self.typed(await self.end_users.get(app.id, user.id),
                   users_m.EndUser, id=user.id, email=user.email)
        got = self.typed(
            await self.end_users.list(app.id, search=user.email,
                                      blocked=False, email_verified=True),
            users_m.EndUserListResponse, total_count=1, page=1, page_size=20)
        self.assertEqual([u.id for u in got.items], [user.id])
        self.typed(
            await self.end_users.update(
                app.id, user.id, display_name="B", first_name="Bea",
                last_name="X", phone_number="+332",
                profile_picture_url="https://p.example/b",
                metadata='{"b":2}'),
            users_m.EndUser, display_name="B", first_name="Bea",
            metadata='{"b":2}')
        self.assertIsNone(await self.end_users.block(app.id, user.id, "why"))
        self.typed(await self.end_users.get(app.id, user.id),
                   users_m.EndUser, is_blocked=True, blocked_reason="why")
        got = await self.end_users.list(app.id, blocked=True)
        self.assertEqual(got.total_count, 1)
        self.assertIsNone(await self.end_users.unblock(app.id, user.id))
        self.assertIsNone(await self.end_users.unlock(app.id, user.id))
        self.typed(await self.end_users.get(app.id, user.id),
                   users_m.EndUser, is_blocked=False, is_locked_out=False)
        got = self.typed(
            await self.end_users.generate_temporary_password(
                app.id, user.id),
            users_m.EndUserTemporaryPasswordResponse, email=user.email)
        self.assertTrue(got.temporary_password)
        self.assertIsNone(await self.end_users.delete(app.id, user.id))
        with self.assertRaises(quantumapi.NotFoundError):
            await self.end_users.get(app.id, user.id)

    async def test_roles(self):
        role = self.typed(
            await self.roles.create(name("Role"), description="d",
                                    permissions='["a"]', is_default=False),
            roles_m.Role, application_id=None, permissions='["a"]',
            is_default=False, end_user_count=0)
        self.typed(await self.roles.get(role.id), roles_m.Role, id=role.id,
                   name=role.name, description="d")
        new = name("Role")
        self.typed(
            await self.roles.update(role.id, name=new, description="e",
                                    permissions="[]", is_default=True),
            roles_m.Role, name=new, description="e", is_default=True)
        app = await self.app()
        listed = await self.roles.list()
        self.assertIn(role.id, [r.id for r in listed])
        listed = await self.roles.list(application_id=app.id)
        self.assertIn(role.id, [r.id for r in listed])
        found = await self.roles.find_by_name(app.id, new.upper())
        self.typed(found, roles_m.Role, id=role.id)
        self.assertIsNone(await self.roles.find_by_name(app.id, "no such"))
        self.assertIsNone(await self.roles.delete(role.id))
        with self.assertRaises(quantumapi.NotFoundError):
            await self.roles.get(role.id)

    async def test_role_assignments(self):
        app = await self.app()
        user = await self.user(app)
        role = await self.roles.create(name("Role"))
        got = self.typed(
            await self.end_users.assign_role(app.id, user.id, role.id),
            users_m.EndUserRole, role_id=role.id, role_name=role.name)
        listed = await self.end_users.list_roles(app.id, user.id)
        self.assertIn((got.id, role.id), [(r.id, r.role_id) for r in listed])
        self.assertEqual((await self.roles.get(role.id)).end_user_count, 1)
        found = await self.end_users.list(app.id, role_id=role.id)
        self.assertEqual([u.id for u in found.items], [user.id])
        self.assertIn(role.id,
                      [r.role_id for r in
                       (await self.end_users.get(app.id, user.id)).roles])
        self.assertIsNone(await self.end_users.remove_role(
            app.id, user.id, role.id))
        listed = await self.end_users.list_roles(app.id, user.id)
        self.assertNotIn(role.id, [r.role_id for r in listed])

    # --- audit, usage, health, randomness ---

    async def test_audit(self):
        before = datetime.now(timezone.utc) - timedelta(minutes=5)
        key = await self.key("signing", "Ed25519")
        got = self.typed(
            await self.audit.list(
                category="keys", action=["KeyCreated", "Sign"],
                key_id=key.id, actor="APIKEY:sdk", from_=before,
                to=(before + timedelta(hours=1)).isoformat(), page=1,
                page_size=10),
            audit_m.AuditLogListResponse, total_count=1, page=1,
            page_size=10)
        self.typed(got.items[0], audit_m.AuditLogEntry, action="KeyCreated",
                   category="keys", actor="apikey:sdk", actor_type="apiKey",
                   resource_id=key.id, resource_name=key.name,
                   outcome="success")
        self.typed(await self.audit.list(action="KeyCreated", key_id=key.id),
                   audit_m.AuditLogListResponse, total_count=1)

    async def test_usage(self):
        made = await self.secret(value="x" * 1000)
        got = self.typed(await self.usage.get_storage(),
                         usage_m.StorageUsage)
        self.assertIsInstance(got.period_start, date)
        self.assertGreaterEqual(got.total_bytes, 1000)
        self.assertEqual({c.id for c in got.categories},
                         {"secrets", "keys", "certificates", "attachments",
                          "log_archives"})
        self.assertGreaterEqual(got.category("secrets").items, 1)
        await self.secrets.delete(made.id)

    async def test_health(self):
        got = self.typed(await self.health.check(), health_m.HealthResponse,
                         status="Healthy")
        self.assertTrue(got.version)
        self.assertTrue(self.typed(await self.health.version(),
                                   health_m.VersionResponse).version)
        got = self.typed(await self.health.rate_limit(),
                         health_m.RateLimitResponse)
        self.assertTrue(got.period)

    async def test_qrng(self):
        for form, kind in (("raw", str), ("hex", str), ("uuid", list),
                           ("int32", list), ("int64", list)):
            got = self.typed(
                await self.qrng.get_entropy(32, form, allow_csprng=True),
                qrng_m.QrngEntropyResponse, format=form, source="csprng",
                is_quantum=False, consumed_bytes=32)
            self.assertIsInstance(got.entropy, kind)
            self.typed(got.source_details, qrng_m.QrngSourceDetails,
                       provider="SystemRandom")
            if kind is str:
                self.assertEqual(len(got.as_bytes()), 32)
        got = await self.qrng.get_entropy(16, "uuid")
        self.assertEqual(len(got.entropy), 1)
        uuid.UUID(got.entropy[0])
        with self.assertRaises(ValueError):
            await self.qrng.get_entropy(15, "uuid")
