"""Resource groups, compliance and log streams."""

import gzip
import json
import os
import tempfile
from datetime import date, datetime, timedelta, timezone

import quantumapi
from quantumapi.models import compliance as comp_m
from quantumapi.models import log_streams as logs_m
from quantumapi.models import resource_groups as groups_m

from common import Common


class Tier2Calls(Common):
    async def test_resource_groups(self):
        secret = await self.secret()
        group = self.typed(await self.resource_groups.create("g", "d"),
                           groups_m.ResourceGroup, name="g", description="d",
                           item_count=0, updated_at=None)
        self.typed(await self.resource_groups.update(group.id, "h"),
                   groups_m.ResourceGroup, name="h", description=None)
        self.assertIsNone(await self.resource_groups.add_item(
            group.id, "Secret", secret.id))
        got = self.typed(await self.resource_groups.get(group.id),
                         groups_m.ResourceGroupDetail, name="h")
        self.typed(got.items[0], groups_m.ResourceGroupItem,
                   resource_type="Secret", resource_id=secret.id,
                   resource_name=secret.name)
        listed = self.typed(await self.resource_groups.list(),
                            groups_m.ResourceGroupListResponse)
        self.assertEqual(listed.total_count, len(listed.groups))
        row = [g for g in listed.groups if g.id == group.id][0]
        self.assertEqual((row.item_count, row.secret_count), (1, 1))
        self.assertIsNone(await self.resource_groups.remove_item(
            group.id, got.items[0].id))
        self.assertIsNone(await self.resource_groups.delete(group.id))
        with self.assertRaises(quantumapi.NotFoundError):
            await self.resource_groups.get(group.id)

    async def test_compliance(self):
        overview = self.typed(await self.compliance.get_overview(),
                              comp_m.ComplianceOverview)
        self.assertEqual({f.framework for f in overview.frameworks},
                         set(comp_m.COMPLIANCE_FRAMEWORKS))
        for framework in comp_m.COMPLIANCE_FRAMEWORKS:
            report = self.typed(
                await self.compliance.get_report(framework.upper()),
                comp_m.ComplianceReport, framework=framework)
            for check in report.checks:
                comp_m.ComplianceCheckStatus(check.status)  # is known
        review = datetime.now(timezone.utc) + timedelta(days=30)
        made = self.typed(
            await self.compliance.accept_risk(
                "nis2", "operational-monitoring",
                "It is watched by another system.", review),
            comp_m.ComplianceRiskAcceptance, framework="nis2",
            accepted_by="apikey:sdk", is_active=True, is_expired=False)
        self.assertEqual(made.review_date, review)
        report = await self.compliance.get_report("nis2")
        check = [c for c in report.checks if c.id == made.check_id][0]
        self.assertTrue(check.is_risk_accepted)
        self.assertEqual(check.risk_acceptance.id, made.id)
        gone = self.typed(
            await self.compliance.revoke_risk_acceptance(
                "nis2", "operational-monitoring"),
            comp_m.ComplianceRiskAcceptance, id=made.id, is_active=False,
            revoked_by="apikey:sdk")
        self.assertIsNotNone(gone.revoked_at)
        listed = self.typed(await self.compliance.list_risk_acceptances(),
                            comp_m.ComplianceRiskAcceptanceListResponse)
        self.assertIn(made.id, [a.id for a in listed.items])
        with self.assertRaises(quantumapi.NotFoundError):
            await self.compliance.revoke_risk_acceptance(
                "nis2", "operational-monitoring")
        with self.assertRaises(quantumapi.ConflictError):
            await self.compliance.accept_risk("gdpr", "audit-trail",
                                              "Nothing to accept here.")

    async def test_log_streams(self):
        made = self.typed(
            await self.log_streams.create(
                "archive", logs_m.LogStreamType.FILE,
                logs_m.file_stream_config(365)),
            logs_m.LogStream, stream_type=logs_m.LogStreamType.FILE,
            is_active=True, retention_days=365, consecutive_failures=0)
        self.typed(await self.log_streams.get(made.id), logs_m.LogStream,
                   id=made.id, name="archive")
        listed = self.typed(await self.log_streams.list(),
                            logs_m.LogStreamListResponse)
        self.assertIn(made.id, [s.id for s in listed.items])
        self.typed(await self.log_streams.test(made.id),
                   logs_m.LogStreamTestResult, success=True, error=None)
        self.typed(await self.log_streams.deactivate(made.id),
                   logs_m.LogStream, is_active=False)
        files = self.typed(await self.log_streams.list_files(made.id),
                           logs_m.LogStreamFileListResponse,
                           retention_days=365)
        day = self.typed(files.days[0], logs_m.LogStreamFileDay)
        data = await self.log_streams.download_file(made.id, day.day)
        self.assertEqual(len(data), day.size_bytes)
        lines = gzip.decompress(data).splitlines()
        self.assertEqual(len(lines), day.line_count)
        json.loads(lines[-1])
        with tempfile.TemporaryDirectory() as where:
            path = await self.log_streams.download_file_to(
                made.id, day.day.isoformat(), where)
            self.assertEqual(os.path.basename(path),
                             f"auth-logs-{day.day}.ndjson.gz")
            with open(path, "rb") as f:
                self.assertEqual(f.read(), data)
        with self.assertRaises(quantumapi.NotFoundError):
            await self.log_streams.download_file(made.id, date(2020, 2, 29))
        self.typed(await self.log_streams.activate(made.id),
                   logs_m.LogStream, is_active=True)
        self.typed(
            await self.log_streams.update(made.id, "hook", "Webhook",
                                          '{"url":"https://x.example"}'),
            logs_m.LogStream, name="hook", retention_days=None,
            config={"url": "https://x.example"})
        self.assertIs(await self.log_streams.delete(made.id), True)
        with self.assertRaises(quantumapi.NotFoundError):
            await self.log_streams.get(made.id)
