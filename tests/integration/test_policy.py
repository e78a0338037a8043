#!/usr/bin/env python3
"""Who may have what (contract 3). Users that exist on every Debian serve as
the callers. Rules by unit are in test_systemd.py."""

import grp
import os
import pwd

import harness
import wire
from harness import Case, ids, ref, secret

SEED = {"secrets": [
    secret("id-web", "web/password", "value web password"),
    secret("id-deep", "web/a/b/deep", "value web deep"),
    secret("id-db", "db/prod", "value db prod"),
    secret("id-top", "top", "value of top"),
    secret("id-x1", "x1", "value of x1"),
    secret("id-x22", "x22", "value of x22"),
    secret("twin-1", "web/twin", "value twin one"),
    secret("twin-2", "web/twin", "value twin two"),
    secret("id-old", "web/old", "value of old",
           expiresAt="2020-01-01T00:00:00Z"),
], "keys": [
    {"id": "k-web", "name": "web/sign", "algorithm": "Ed25519"},
    {"id": "k-db", "name": "db/sign", "algorithm": "Ed25519"}]}


@harness.needs_root
class Policy(Case):
    AUTO = False
    SEED = SEED
    OPEN = {"agent": {"socket-mode": "0666"}}

    def rules(self, *rules, **agent):
        """One daemon under these rules."""
        if self.agent is not None:
            self.agent.stop()
        self.start({"agent": {"socket-mode": "0666", **agent}},
                   allow=[(f"rule {i}", r) for i, r in enumerate(rules)])

    def may(self, user, *names, **kw):
        for name in names:
            with self.subTest(may=name, user=user, **kw):
                r = self.helper("get", name, user=user, **kw)
                self.assertEqual((r.status, r.err), (0, ""))
                self.assertTrue(r.out)

    def may_not(self, user, *names, **kw):
        for name in names:
            with self.subTest(may_not=name, user=user, **kw):
                self.assert_error("denied", 4, "get", name, user=user, **kw)
                r = self.fails(4, "get", name, user=user, **kw)
                self.assertNotIn("value ", r.err)


class Nobody(Policy):
    """Without rules, nothing."""

    def test_without_rules_others_may_nothing(self):
        self.rules()
        self.may_not("nobody", "top", "web/password", "id-top",
                     "qapi://keys/web/sign/public")
        self.get("top")

    def test_denied_whether_or_not_the_thing_exists(self):
        self.rules()
        there = self.fails(4, "get", "top", user="nobody")
        not_there = self.fails(4, "get", "pot", user="nobody")
        self.assertEqual(there.err.replace("top", "pot"), not_there.err)
        for name in ("web/twin", "web/old", "no-such", "id-top", "id-no",
                     "11111111-2222-4333-8444-555555555555",
                     ref("top", field="nope"), ref("top", version=9)):
            self.may_not("nobody", name)

    def test_denied_the_same_cached_or_not_and_up_or_down(self):
        self.rules()
        self.get("top")
        self.may_not("nobody", "top", "db/prod", "nope")
        self.sandbox.stop()
        self.may_not("nobody", "top", "db/prod", "nope")

    def test_denied_read_asks_the_service_nothing(self):
        self.rules()
        self.may_not("nobody", "db/prod", "nope", "id-db")
        self.assertEqual(self.sandbox.total, 0)

    def test_denied_takes_no_longer_for_what_is_not_cached(self):
        """An answer that waits for the service tells what is cached."""
        self.rules()
        self.get("top")
        self.sandbox.fault("*", latencyMs=3000)
        for name in ("top", "db/prod", "nope"):
            r = self.helper("get", name, user="nobody")
            self.assertEqual(r.status, 4)
            self.assertLess(r.seconds, 1.5)

    def test_denials_are_logged_with_who_and_what(self):
        self.rules()
        self.helper("get", "db/prod", user="nobody")
        uid = ids("nobody")[0]
        self.assertRegex(self.agent.log(), rf"uid {uid}\b.*db/prod.*denied")

    def test_ping_and_status_are_open_to_whoever_may_connect(self):
        self.rules()
        self.ok("ping", user="nobody")
        self.assertIn("cache", self.status(user="nobody"))

    def test_list_is_denied_or_empty(self):
        self.rules()
        r = self.helper("list", user="nobody")
        self.assertEqual(r.out, b"")
        self.assertIn(r.status, (0, 4))
        self.assertNotIn("top", r.err)

    def test_refresh_and_purge_need_rights(self):
        self.rules()
        self.get("top")
        for args in (("refresh", "top"), ("purge", "top"),
                     ("refresh", "--all"), ("purge", "--all"),
                     ("refresh", "nope"), ("purge", "nope")):
            with self.subTest(args):
                r = self.helper(*args, user="nobody")
                self.assertEqual(r.status, 4, r.err)
        self.assertEqual(self.status()["cache"]["secrets"], 1)

    def test_socket_mode_keeps_others_out(self):
        self.start({"agent": {"socket-mode": "0660"}})
        r = self.fails(5, "ping", user="nobody")
        self.assertIn("ermission", r.err)


class Who(Policy):
    """user=, group=, root, the agent's own user."""

    def test_rule_by_user_name_and_number(self):
        uid = ids("games")[0]
        self.rules({"user": "nobody", "secrets": "top"},
                   {"user": str(uid), "secrets": "db/prod"})
        self.may("nobody", "top")
        self.may_not("nobody", "db/prod")
        self.may("games", "db/prod")
        self.may_not("games", "top")
        self.may_not("daemon", "top", "db/prod")

    def test_lists_are_alternatives(self):
        self.rules({"user": "nobody,games", "secrets": "top,db/prod"})
        for user in ("nobody", "games"):
            self.may(user, "top", "db/prod")
            self.may_not(user, "x1")
        self.may_not("daemon", "top")

    def test_rule_by_group_name_and_number(self):
        gid = grp.getgrnam("mail").gr_gid
        self.rules({"group": "users", "secrets": "top"},
                   {"group": str(gid), "secrets": "db/prod"})
        self.may("nobody", "top", group="users")
        self.may("nobody", "db/prod", group="mail")
        self.may_not("nobody", "top")
        self.may_not("nobody", "db/prod", group="users")

    def test_groups_include_the_supplementary_ones(self):
        self.rules({"group": "users", "secrets": "top"})
        self.may("nobody", "top", groups=["users"])
        self.may("nobody", "top", groups=["mail", "users", "games"])
        self.may_not("nobody", "top", groups=["mail", "games"])

    def test_every_line_given_must_match(self):
        self.rules({"user": "nobody", "group": "users", "secrets": "top"})
        self.may("nobody", "top", groups=["users"])
        self.may_not("nobody", "top")
        self.may_not("games", "top", groups=["users"])

    def test_root_may_do_everything(self):
        self.rules({"user": "nobody", "secrets": "top"})
        self.get("top")
        self.get("db/prod")

    def test_root_needs_rule(self):
        self.rules({"user": "nobody", "secrets": "top"},
                   {"user": "root", "secrets": "db/*"},
                   **{"root-needs-rule": "yes"})
        self.may("nobody", "top")
        self.may(None, "db/prod")
        self.may_not(None, "top", "nope")
        self.assertEqual(self.helper("purge", "--all").status, 4)
        self.ok("ping")

    def test_agents_own_user_may_do_everything(self):
        self.start_sandbox()
        self.start_agent({"agent": {"socket-mode": "0666"}}, allow=[],
                         user="nobody")
        self.may("nobody", "top", "db/prod")
        self.assertEqual(self.helper("purge", "--all", user="nobody").status,
                         0)
        self.may_not("games", "top")
        self.get("top")

    def test_root_needs_rule_with_an_agent_of_another_user(self):
        self.start_sandbox()
        self.start_agent({"agent": {"socket-mode": "0666",
                                    "root-needs-rule": "yes"}}, allow=[],
                         user="nobody")
        self.may_not(None, "top")
        self.may("nobody", "top")

    def test_first_rule_does_not_hide_the_second(self):
        self.rules({"user": "nobody", "secrets": "top"},
                   {"user": "nobody", "secrets": "db/prod"})
        self.may("nobody", "top", "db/prod")
        r = self.helper("get", "top", "web/password", "db/prod",
                        user="nobody")
        self.assertEqual(r.status, 4)
        self.assertEqual(r.out, b"value of top\nvalue db prod\n")

    def test_rule_without_what_allows_nothing(self):
        self.start_sandbox()
        try:
            self.rules({"user": "nobody"})
        except AssertionError:
            # a fault of the configuration is as good
            self.expected_status[self.agent] = self.agent.ended()
            return
        self.may_not("nobody", "top")

    def test_rule_without_who_is_no_rule_for_everybody_by_accident(self):
        self.start_sandbox()
        try:
            self.rules({"secrets": "top"})
        except AssertionError:
            self.expected_status[self.agent] = self.agent.ended()
            return
        # If it is taken, it names nobody in particular: everybody.
        self.may_not("nobody", "db/prod")


class What(Policy):
    """secrets=, keys=, id:, globs, operations=."""

    def test_star_stays_within_one_part_of_the_name(self):
        self.rules({"user": "nobody", "secrets": "web/*"})
        self.may("nobody", "web/password")
        self.may_not("nobody", "web/a/b/deep", "top", "db/prod")

    def test_two_stars_cross_parts(self):
        self.rules({"user": "nobody", "secrets": "web/**"})
        self.may("nobody", "web/password", "web/a/b/deep")
        self.may_not("nobody", "top", "db/prod")

    def test_two_stars_in_the_middle_and_alone(self):
        self.rules({"user": "nobody", "secrets": "**/deep"},
                   {"user": "games", "secrets": "**"})
        self.may("nobody", "web/a/b/deep")
        self.may_not("nobody", "web/password")
        self.may("games", "web/a/b/deep", "top", "db/prod")

    def test_star_alone_is_one_part(self):
        self.rules({"user": "nobody", "secrets": "*"})
        self.may("nobody", "top", "x1")
        self.may_not("nobody", "db/prod", "web/a/b/deep")

    def test_question_mark_is_one_character_of_a_part(self):
        self.rules({"user": "nobody", "secrets": "x?,web?password"})
        self.may("nobody", "x1")
        self.may_not("nobody", "x22", "web/password")

    def test_name_without_a_glob_is_exact(self):
        self.rules({"user": "nobody", "secrets": "to,x"})
        self.may_not("nobody", "top", "x1")

    def test_dots_and_brackets_are_no_patterns(self):
        self.rules({"user": "nobody", "secrets": "t.p,x[12]"})
        self.may_not("nobody", "top", "x1")

    def test_by_id(self):
        self.rules({"user": "nobody", "secrets": "id:id-db"},
                   {"user": "games", "secrets": "id:id-x*"})
        self.may("nobody", "id-db", "db/prod")
        self.may_not("nobody", "id-web", "web/password")
        self.may("games", "id-x1", "x22")
        self.may_not("games", "id-web", "top")

    def test_who_asks_by_id_is_judged_by_the_name(self):
        self.rules({"user": "nobody", "secrets": "web/*"})
        self.may("nobody", "id-web")
        self.may_not("nobody", "id-db", "id-deep", "id-top")
        # cached or not
        self.ok("get", "id-db", "id-top")
        self.may_not("nobody", "id-db", "id-top")

    def test_id_that_looks_like_an_allowed_name_opens_nothing(self):
        self.rules({"user": "nobody", "secrets": "id-*"})
        self.may_not("nobody", "id-db", "id-top")

    def test_id_that_does_not_exist_is_denied_too(self):
        self.rules({"user": "nobody", "secrets": "web/*"})
        self.may_not("nobody", "id-nope", "id-db")
        a = self.fails(4, "get", "id-nope", user="nobody").err
        b = self.fails(4, "get", "id-db", user="nobody").err
        self.assertEqual(a.replace("id-nope", "id-db"), b)

    def test_whose_rules_cover_everything_is_told_not_found(self):
        self.rules({"user": "nobody", "secrets": "**"})
        self.assert_error("not-found", 3, "get", "nope", user="nobody")
        self.assert_error("not-found", 3, "get", "id-nope", user="nobody")

    def test_allowed_name_that_does_not_exist_is_not_found(self):
        self.rules({"user": "nobody", "secrets": "web/*"})
        self.assert_error("not-found", 3, "get", "web/nope", user="nobody")
        self.assert_error("denied", 4, "get", "db/nope", user="nobody")

    def test_allowed_name_may_be_told_other_errors(self):
        self.rules({"user": "nobody", "secrets": "web/*"})
        self.assert_error("ambiguous", 9, "get", "web/twin", user="nobody")
        self.assert_error("expired", 8, "get", "web/old", user="nobody")
        self.assert_error("not-found", 3, "get",
                          ref("web/password", field="nope"), user="nobody")

    def test_fields_versions_and_encodings_are_no_way_around(self):
        self.rules({"user": "nobody", "secrets": "web/*"})
        self.may_not("nobody", "qapi://secrets/web/../db/prod",
                     "qapi://secrets/web%2f..%2fdb%2fprod",
                     "qapi://secrets/db%2fprod",
                     "qapi://secrets/%64b/prod",
                     "qapi://secrets/db/prod?field=name",
                     "qapi://secrets/id-db?version=1",
                     "qapi://secrets/web%2fa%2fb%2fdeep")
        self.may("nobody", "qapi://secrets/web%2fpassword",
                 "qapi://secrets/id-web?version=1")

    def test_rename_upstream_changes_what_is_allowed(self):
        self.start({"agent": {"socket-mode": "0666"},
                    "cache": {"refresh-interval": "300ms"}},
                   allow=[("a", {"user": "nobody", "secrets": "web/*"})])
        self.may("nobody", "id-web")
        self.sandbox.api("PATCH", "/secrets/id-web", {"name": "db/secret"})
        self.wait(lambda: self.helper("get", "id-web", user="nobody").status
                  == 4, "it is out of reach under its new name")
        self.assertNotEqual(self.helper("get", "db/secret",
                                        user="nobody").status, 0)

    def test_keys(self):
        self.rules({"user": "nobody", "keys": "web/*"},
                   {"user": "games", "secrets": "**"})
        self.may("nobody", "qapi://keys/web/sign/public",
                 "qapi://keys/k-web/public?format=pem")
        self.may_not("nobody", "qapi://keys/db/sign/public",
                     "qapi://keys/k-db/public", "web/password", "web/sign")
        self.may_not("games", "qapi://keys/web/sign/public")

    def test_list_shows_what_the_caller_may_see(self):
        self.rules({"user": "nobody", "secrets": "web/*", "keys": "web/*",
                    "operations": "read,list"},
                   {"user": "games", "secrets": "db/*",
                    "operations": "list"})
        out = self.ok("list", user="nobody").decode()
        self.assertIn("web/password", out)
        self.assertIn("web/sign", out)
        for name in ("db/prod", "top", "web/a/b/deep", "db/sign"):
            self.assertNotIn(name, out)
        out = self.ok("list", user="games").decode()
        self.assertIn("db/prod", out)
        self.assertNotIn("web/", out)
        # list is not read
        self.may_not("games", "db/prod")

    def test_operations_default_to_read_and_not_list_or_admin(self):
        self.rules({"user": "nobody", "secrets": "**", "keys": "**"})
        self.may("nobody", "top")
        self.assertEqual(self.helper("list", user="nobody").status, 4)
        self.assertEqual(self.helper("purge", "top", user="nobody").status,
                         4)
        self.assertEqual(self.helper("purge", "--all", user="nobody").status,
                         4)
        self.assertEqual(self.helper("refresh", "--all",
                                     user="nobody").status, 4)

    def test_refresh_of_a_reference_needs_the_right_to_read_it(self):
        self.rules({"user": "nobody", "secrets": "web/*"})
        self.assertEqual(self.helper("refresh", "web/password",
                                     user="nobody").status, 0)
        self.assertEqual(self.helper("refresh", "db/prod",
                                     user="nobody").status, 4)

    def test_admin_may_purge(self):
        self.rules({"user": "nobody", "secrets": "**",
                    "operations": "read,admin"})
        self.get("top")
        self.assertEqual(self.helper("purge", "top", user="nobody").status,
                         0)
        self.assertEqual(self.helper("purge", "--all", user="nobody").status,
                         0)
        self.assertEqual(self.helper("refresh", "--all",
                                     user="nobody").status, 0)

    def test_rule_with_other_operations_only_does_not_allow_to_read(self):
        self.rules({"user": "nobody", "secrets": "**",
                    "operations": "list"})
        self.may_not("nobody", "top")
        self.ok("list", user="nobody")

    def test_run_is_denied_as_a_whole(self):
        self.rules({"user": "nobody", "secrets": "web/*"})
        r = self.helper("run", "--env", "A=web/password", "--env",
                        "B=db/prod", "--", "env", user="nobody")
        self.assertEqual((r.status, r.out), (125, b""))
        self.assertIn("db/prod", r.err)


class Peers(Policy):
    """Who asks is told by the kernel, of the process that connected."""

    def test_uid_is_that_of_the_connection(self):
        self.rules({"user": "nobody", "secrets": "top"})
        pid = os.fork()
        if pid == 0:
            code = 9
            try:
                uid, gid = ids("nobody")
                os.setgroups([])
                os.setgid(gid)
                os.setuid(uid)
                with wire.Wire(self.socket) as w:
                    a, b = w.get_many("qapi://secrets/top",
                                      "qapi://secrets/db/prod")
                    if a.VALUE == b"value of top" and b.error == "denied":
                        code = 0
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_verdict_of_one_connection_is_not_anothers(self):
        self.rules({"user": "nobody", "secrets": "top"})
        for _ in range(3):
            self.may("nobody", "top")
            self.may_not("games", "top")
            self.get("top")

    def test_user_that_is_unknown_to_the_system(self):
        self.rules({"user": "4242", "secrets": "top"})
        self.assertRaises(KeyError, pwd.getpwuid, 4242)
        for uid, status in ((4242, 0), (4243, 4)):
            r = self.helper("get", "top", prefix=[
                "setpriv", f"--reuid={uid}", f"--regid={uid}",
                "--clear-groups"])
            self.assertEqual(r.status, status, r.err)


class Record(Policy):
    """What docs/security.md says of the audit record."""

    def test_it_names_the_rule_of_what_was_allowed(self):
        path = os.path.join(self.dir, "audit")
        self.rules({"user": "nobody", "secrets": "web/password",
                    "operations": "read,list"},
                   {"user": "nobody", "secrets": "top"},
                   **{"audit-log": path})
        self.may("nobody", "top", "web/password")
        self.fails(4, "get", "x1", user="nobody")
        self.helper("list", user="nobody")
        self.helper("call", "GET", "/secrets", user="nobody")
        self.helper("ping", user="nobody")
        self.agent.stop()
        with open(path, encoding="utf-8") as f:
            told = [line.split(") ", 1)[1] for line in f]
        self.assertEqual(told, [
            'read "qapi://secrets/top": allowed (rule "rule 1")\n',
            'read "qapi://secrets/web/password": allowed (rule "rule 0")\n',
            'read "qapi://secrets/x1": denied\n',
            'list "GET /secrets": allowed\n'])


if __name__ == "__main__":
    harness.main()
