#!/usr/bin/env python3
"""Is each promise really tested? Break the code behind it, one line at a time,
in a copy of the sources, and see its test fail.

    mutate.py [-l] [-k PATTERN] [-j N] BUILDDIR

Takes the sources beside it and the options of BUILDDIR's configure. A mutation
whose text is not in the file exactly once is stale: adapt it. Exit status 0:
each was caught. -l lists them, -k takes those whose row, file and test match,
-j is make's. It takes a while: `make check-mutations`.

A test is a file of tests/integration and a name as run.py takes it, or a
program of tests/unit and one of its functions.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

from mutate_service import SERVICE

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)
ROWS = "test_cache_rows.py"
UNIT_TIMEOUT_S = 300

# (row, file, old, new, test file, test)
MUTATIONS = (
    ("01 fresh", "agent/lookup.c",
     "return state == CACHE_FRESH || state == CACHE_GRACE ||",
     "return state == CACHE_GRACE ||",
     ROWS, "Row01Fresh"),
    ("02 refreshed by time", "agent/cache_time.c",
     "\t    due <= (int64_t)now->boot_ms) {\n\t\te = cache_at",
     "\t    due + 3600000 <= (int64_t)now->boot_ms) {\n\t\te = cache_at",
     ROWS, "Row02Due.test_row_02_refreshed_with_nobody_reading"),
    ("02 idle-evict", "agent/cache_time.c",
     "now->boot_ms - e->read_boot_ms >= c->cfg.idle_evict_ms",
     "false",
     ROWS, "Row02Due.test_row_02_once_an_interval_within_idle_evict_"
     "then_no_more"),
    ("02 a read keeps it", "agent/cache.c",
     "\te->read_boot_ms = now->boot_ms;\n\tcache_lru_renew",
     "\tcache_lru_renew",
     ROWS, "Row02Due.test_row_02_read_again_it_stays"),
    ("02 stale once one failed", "agent/cache_time.c",
     "return e->failures > 0 ? CACHE_STALE : CACHE_FRESH;",
     "return CACHE_FRESH;",
     ROWS, "Row02Due.test_row_02_fresh_until_a_due_refresh_has_failed_"
     "then_stale"),
    ("03 shared", "agent/fetch.c",
     "\te->job = rd;\n\treturn 0;",
     "\treturn 0;",
     ROWS, "Row03Cold.test_row_03_100_cold_reads_make_one_request"),
    ("03 own timeout", "agent/request.c",
     "? ms - REQUEST_MARGIN_MS : ms);",
     "? ms + 20000 : ms);",
     ROWS, "Row03Cold.test_row_03_each_waits_at_most_its_own_timeout"),
    ("04 listing", "agent/revalidate.c",
     "return stats.secrets > (r->pages > 0 ? r->pages : 1) +\n"
     "\t    REVALIDATE_WORTH;",
     "return false;",
     ROWS, "Row04ManyDue.test_row_04_1000_idle_secrets_cost_10_requests_"
     "an_interval"),
    ("04 version", "agent/revalidate.c",
     "if (row->version == o->version && row->is_active &&\n"
     "\t    row->updated_at",
     "if (row->is_active &&\n\t    row->updated_at",
     ROWS, "Row04ManyDue.test_row_04_only_those_that_changed_are_fetched"),
    ("04 updatedAt", "agent/revalidate.c",
     "row->updated_at == o->updated_at &&", "",
     ROWS, "Row04ManyDue.test_row_04_only_those_that_changed_are_fetched"),
    ("04 expiresAt", "agent/revalidate.c",
     "row->expires_at == o->expires_at && revalidate_same_name",
     "revalidate_same_name",
     ROWS, "Row04ManyDue.test_row_04_only_those_that_changed_are_fetched"),
    ("04 isActive", "agent/revalidate.c",
     "if (row->version == o->version && row->is_active &&\n"
     "\t    row->updated_at",
     "if (row->version == o->version &&\n\t    row->updated_at",
     ROWS, "Row04ManyDue.test_row_04_deactivated_secret_is_confirmed_by_a_"
     "read_and_goes"),
    ("04 no row, a read", "agent/revalidate.c",
     "\t\telse\n\t\t\tr->hooks.read(r->hooks.arg, e, &now);",
     "\t\telse\n\t\t\tcache_confirm(r->cache, e, now.boot_ms,\n"
     "\t\t\t    now.boot_ms + r->interval_ms, &now);",
     ROWS, "Row04ManyDue.test_row_04_deactivated_secret_is_confirmed_by_a_"
     "read_and_goes"),
    ("04 lacks members", "agent/revalidate.c",
     "if (!page->has_versions && page->count > 0) {",
     "if (false) {",
     ROWS, "Row04ManyDue.test_row_04_falls_back_where_the_listing_tells_"
     "no_version"),
    ("04 may not list", "agent/revalidate.c",
     "if (error == ERR_DENIED || error == ERR_INSUFFICIENT_SCOPE)",
     "if (false)",
     ROWS, "Row04ManyDue.test_row_04_falls_back_where_the_key_may_not_list"),
    ("04 reread-interval", "agent/cache_time.c",
     "return (int64_t)(now->boot_ms - e->reread_boot_ms) >= 0;",
     "return now->boot_ms == 0 && e != NULL;",
     ROWS, "Row04ManyDue.test_row_04_reread_interval_reads_each_by_id_"
     "spread_out"),
    ("05 max-stale", "agent/cache_time.c",
     "return cache_age(e, now) > limit;",
     "return limit == 0;",
     ROWS, "Row05Down.test_row_05_until_max_stale_after_the_last_success"),
    ("05 another id", "agent/upstream_json.c",
     "if (!check_id(req, member_text(doc, \"id\"), a))",
     "if (false)",
     ROWS, "Row05Down.test_row_05_another_id_or_no_value_gives_stale"),
    ("05 breaker waits 15 s", "agent/breaker.c",
     "#define BREAKER_WAIT_MAX_MS 15000",
     "#define BREAKER_WAIT_MAX_MS 120000",
     ROWS, "Row05Recovery.test_row_05_fresh_within_20_s_after_500s"),
    ("05 spread after recovery", "agent/fetch_impl.h",
     "#define FETCH_RECOVERY_SPREAD_MS ",
     "#define FETCH_RECOVERY_SPREAD_MS 100u * ",
     ROWS, "Row05Recovery.test_row_05_fresh_within_20_s_by_single_reads"),
    ("05 hung probes", "agent/jobs.h",
     "#define JOBS_PROBE_MS 5000",
     "#define JOBS_PROBE_MS 50000",
     ROWS, "Row05Recovery.test_row_05_fresh_within_20_s_after_a_hang_that_"
     "never_ends"),
    ("05 one probe a second", "agent/breaker.c",
     "\tif (breaker_wait_ms(b, waited, now_boot_ms) != 0)\n"
     "\t\treturn false;",
     "\t(void)waited;",
     ROWS, "Row05Recovery.test_row_05_probes_1_s_apart_then_15"),
    ("05 429 holds", "agent/jobs_note.c",
     "if (answer->status == 429) {\n\t\t/* it lives",
     "if (answer->status == 4290) {\n\t\t/* it lives",
     ROWS, "Row05Down.test_row_05_429_holds_the_whole_key_until_retry_after"),
    ("05 503 holds", "agent/jobs_note.c",
     "if (answer->status == 503 && answer->retry_after_ms != 0 &&",
     "if (answer == NULL &&",
     ROWS, "Row05Down.test_row_05_503_holds_what_nobody_waits_for_until_"
     "retry_after"),
    ("05 retry after a key's 5xx", "agent/upstream_status.c",
     "if (a->status >= 500 || a->status == 408) {",
     "if (a->status == 408) {",
     ROWS, "Row05Down.test_row_05_service_down_in_each_way_gives_stale"),
    ("06 refresh-lead", "agent/cache_time.c",
     "c->cfg.refresh_lead_ms + (jitter ? rnd % jitter : 0));",
     "(jitter ? rnd % jitter : 0));",
     ROWS, "Row06ExpiryAhead.test_row_06_refreshed_refresh_lead_before_it"),
    ("06 at it", "agent/cache_time.c",
     "\tif (e->job == NULL)\n\t\tcache_set_due(c, e, now->boot_ms);",
     "\tif (e->job == NULL && !e->expired)\n"
     "\t\tcache_set_due(c, e, now->boot_ms);",
     ROWS, "Row06ExpiryAhead.test_row_06_again_at_it_then_with_backoff"),
    ("06 backoff", "agent/cache_time.c",
     "(n < CACHE_EXPIRED_DOUBLINGS ? n : CACHE_EXPIRED_DOUBLINGS);",
     "(n < CACHE_EXPIRED_DOUBLINGS ? 0 : CACHE_EXPIRED_DOUBLINGS);",
     ROWS, "Row06ExpiryAhead.test_row_06_again_at_it_then_with_backoff"),
    ("07 expires", "agent/cache_time.c",
     "\tif (e->object->expires_at <= wall_ms) {\n\t\tcache_expire",
     "\tif (e->object->expires_at <= wall_ms - 600000) {\n\t\tcache_expire",
     ROWS, "Row07Expired.test_row_07_never_served_once_it_has_passed"),
    ("07 no grace unless set", "agent/cache_time.c",
     "return (uint64_t)((int64_t)now->boot_ms - e->expired_boot_ms) <\n"
     "\t    c->cfg.serve_expired_ms;",
     "return now->boot_ms != 0 && e != NULL && c != NULL;",
     ROWS, "Row07Expired"),
    ("07 grace is marked", "agent/lookup.c",
     ": state == CACHE_STALE ? MSG_STALE : MSG_EXPIRED;",
     ": MSG_STALE;",
     ROWS, "Row07Expired.test_row_07_serve_expired_allows_a_grace_that_is_"
     "marked"),
    ("08 gone", "agent/upstream_status.c",
     "else if (status == 404 || status == 410)\n\t\tread_404(",
     "else if (status == 404)\n\t\tread_404(",
     ROWS, "Row08Gone.test_row_08_each_way_of_being_gone"),
    ("08 forbidden", "agent/fetch.c",
     "if (answer->gone || answer->forbidden ||\n"
     "\t    answer->error == ERR_TOO_LARGE) {",
     "if (answer->gone ||\n\t    answer->error == ERR_TOO_LARGE) {",
     ROWS, "Row08Gone.test_row_08_each_way_of_being_gone"),
    ("08 dropped at once", "agent/fetch.c",
     "if (answer->gone || answer->forbidden ||\n"
     "\t    answer->error == ERR_TOO_LARGE) {",
     "if (answer->forbidden ||\n\t    answer->error == ERR_TOO_LARGE) {",
     ROWS, "Row08Gone.test_row_08_dropped_at_once_when_a_reader_asks"),
    ("09 wiped after the grace", "agent/fetch_service.c",
     "\t(void)fetch_purge_all(f);\n\tf->hooks.wiped",
     "\tf->hooks.wiped",
     ROWS, "Row09Unauthorized.test_row_09_cached_reads_go_on_for_the_grace_"
     "then_all_is_wiped"),
    ("09 key file read again", "agent/jobs.c",
     "if (answer->error == ERR_UNAUTHORIZED && job_try_other_key(job))",
     "if (answer->error == ERR_UNAUTHORIZED && job == NULL)",
     ROWS, "Row09Unauthorized.test_row_09_a_key_that_was_replaced_serves_"
     "the_very_next_read"),
    ("10 replaced", "agent/cache.c",
     "cache_replace(c, e, object_ref(o), now);\n\tcache_account(c, e, true);",
     "cache_replace(c, e, object_ref(had ? e->object : o), now);\n"
     "\tcache_account(c, e, true);",
     ROWS, "Row10Changed"),
    ("11 preload stays", "agent/cache.c",
     "return e != other && !e->kept && e->watchers == 0;",
     "return e != other && e->watchers == 0;",
     ROWS, "Row11Full.test_row_11_preload_entries_stay"),
    ("11 budget", "agent/cache.c",
     "if (used <= c->cfg.max_bytes - need)\n\t\treturn 0;",
     "if (used > 0)\n\t\treturn 0;",
     ROWS, "Row11Full.test_row_11_least_useful_entries_go_first_and_the_"
     "budget_holds"),
    ("11 least useful first", "agent/cache.c",
     "\te->read_boot_ms = now->boot_ms;\n\tcache_lru_renew(c, e);",
     "\te->read_boot_ms = now->boot_ms;\n\t(void)c;",
     ROWS, "Row11Full.test_row_11_least_useful_entries_go_first_and_the_"
     "budget_holds"),
    ("12 age counts", "agent/cache.c",
     "e->confirmed_boot_ms = now->boot_ms - r->age_ms;",
     "e->confirmed_boot_ms = now->boot_ms;",
     ROWS, "Row12Restart.test_row_12_age_is_counted_across_it_and_max_stale_"
     "holds"),
    ("12 downtime counts", "agent/state_load.c",
     ".age_ms = add(item->age_ms, away),", ".age_ms = item->age_ms,",
     ROWS, "Row12Restart.test_row_12_age_is_counted_across_it_and_max_stale_"
     "holds"),
    ("12 stays expired", "agent/cache.c",
     "\tif (r->expired) {\n", "\tif (r->expired && e == NULL) {\n",
     ROWS, "Row12Restart.test_row_12_nor_one_that_was_undone_before"),
    ("12 soon after a change", "agent/state.c",
     "#define STATE_TICK_MS 1000", "#define STATE_TICK_MS 100000",
     ROWS, "Row12Restart.test_row_12_written_soon_after_a_change_whatever_"
     "ends_the_agent"),
    ("13 service's Date", "agent/cache_time.c",
     "\tif (!c->has_floor)\n\t\treturn now->wall_ms;",
     "\tif (c != NULL)\n\t\treturn now->wall_ms;",
     ROWS, "Row13Clock.test_row_13_a_clock_that_is_late_does_not_prolong_it"),
    ("13 stays expired", "agent/cache.c",
     "\tif (same_term) {\n\t\te->expired = true;",
     "\tif (false) {\n\t\te->expired = true;",
     ROWS, "Row13Clock.test_row_13_nor_does_one_that_undoes_a_step_forward"),
    ("13 grace by the boot clock", "agent/cache_time.c",
     "return (uint64_t)((int64_t)now->boot_ms - e->expired_boot_ms) <\n",
     "return (uint64_t)(now->wall_ms - e->object->expires_at) <\n",
     ROWS, "Row13Clock.test_row_13_serve_expired_is_not_prolonged_by_a_step"),
    ("13 1970", "agent/cache_time.c",
     "return cache_wall(c, now) >= CACHE_WALL_PLAUSIBLE_MS;",
     "return cache_wall(c, now) >= 0;",
     ROWS, "Row13Boot1970.test_row_13_1970_withheld_until_the_clock_can_be_"
     "judged"),
    ("13 steps are noticed", "agent/fetch.c",
     "walltimer_set(f->wall, INT64_MAX);", ";",
     ROWS, "Row13Clock.test_row_13_refresh_lead_follows_a_step"),
    ("deadlines", "agent/request.c",
     "? ms - REQUEST_MARGIN_MS : ms);",
     "? ms + 3000 : ms);",
     "test_deadlines.py", "Deadlines.test_accepts_and_never_answers_cold"),
    ("deadlines: look-ups", "agent/upstream_http.c",
     "SET(c, CURLOPT_QUICK_EXIT, 1L);", "",
     "test_deadlines.py", "DeadResolver.test_time_limit_in_the_middle_of_a_"
     "look_up_does_not_block"),
    ("deadlines: what is cached", "agent/lookup.c",
     "\tif (!was_fresh &&\n\t    lookup_next",
     "\tif (false && !was_fresh &&\n\t    lookup_next",
     "test_deadlines.py", "Deadlines.test_drips_a_byte_a_second_cached"),
    ("budget", "agent/budget.c",
     "if (share == BUDGET_CALLER || b->limit == 0)",
     "if (share == BUDGET_CALLER || b->limit != 1)",
     "test_budget.py", "Budget.test_refreshes_leave_room_for_callers"),
    ("chaos: what is gone", "agent/fetch.c",
     "if (answer->gone || answer->forbidden ||\n"
     "\t    answer->error == ERR_TOO_LARGE) {",
     "if (answer->forbidden ||\n\t    answer->error == ERR_TOO_LARGE) {",
     "test_chaos.py", "Chaos"),
    ("chaos: max-stale", "agent/cache_time.c",
     "return cache_age(e, now) > limit;",
     "return limit == 0;",
     "test_chaos.py", "Chaos"),
    ("chaos: a row that changed", "agent/revalidate.c",
     "if (row->version == o->version && row->is_active &&\n"
     "\t    row->updated_at",
     "if (row->is_active &&\n\t    row->updated_at",
     "test_chaos.py", "Chaos"),
    ("chaos: expiry", "agent/cache_time.c",
     "\tif (e->object->expires_at <= wall_ms) {\n\t\tcache_expire",
     "\tif (e->object->expires_at <= wall_ms - 600000) {\n\t\tcache_expire",
     "test_chaos.py", "Chaos"),
)


def run(argv, **kw):
    return subprocess.run(argv, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **kw)


def must(argv, **kw):
    p = run(argv, check=False, **kw)
    if p.returncode != 0:
        sys.exit(f"{' '.join(argv)}: {p.returncode}\n{p.stdout[-3000:]}")


def configure_args(builddir):
    with open(os.path.join(builddir, "config.status"), encoding="utf-8") as f:
        m = re.search(r"^ac_cs_config='(.*)'$", f.read(), re.M)
    args = shlex.split(m[1].replace("'\\''", "'")) if m else []
    # a mutation may leave something unused
    return [a for a in args if a != "--enable-werror"]


def copy_and_build(top, builddir, jobs):
    source, build = os.path.join(top, "src"), os.path.join(top, "build")
    shutil.copytree(SOURCE, source, symlinks=True,
                    ignore=shutil.ignore_patterns(".git", "build*", "*.o"))
    shutil.copytree(os.path.join(SOURCE, "build-aux"),
                    os.path.join(source, "build-aux"), dirs_exist_ok=True)
    os.mkdir(build)
    must([os.path.join(source, "configure"), *configure_args(builddir)],
         cwd=build)
    for part in ("proto", "client", "agent", "tests/sandbox",
                 "tests/integration"):
        must(["make", "-s", jobs, "-C", part], cwd=build)
    return source, build


class Stale(Exception):
    pass


def mutated(path, old, new):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if text.count(old) != 1:
        raise Stale(f"stale ({text.count(old)} times in the file)")
    return text, text.replace(old, new)


def attempt_integration(source, build, test_file, test):
    p = run([sys.executable, "-B",
             os.path.join(source, "tests/integration", test_file), test],
            env={**os.environ, "QAPI_BUILD": build}, check=False)
    if p.returncode == 1 and re.search(r"^FAILED \(", p.stdout, re.M):
        # not because the test itself is wrong, and not skipped
        if re.search(r"^(AttributeError|NameError):", p.stdout, re.M):
            return "broken test\n" + p.stdout[-2000:]
        return "caught"
    return f"NOT CAUGHT (status {p.returncode})"


def attempt_unit(_, build, program, test):
    p = run([os.path.join(build, "tests", program)], check=False,
            cwd=os.path.join(build, "tests/unit"), timeout=UNIT_TIMEOUT_S)
    # ERROR: its tear_down() failed too
    if re.search(rf"^\[  (FAILED|ERROR ) +\] {test}$", p.stdout, re.M):
        return "caught"
    return f"NOT CAUGHT (status {p.returncode})"


def attempt(mutation, source, build, jobs):
    """caught, or what else."""
    _, name, old, new, test_file, test = mutation
    path = os.path.join(source, name)
    before, after = mutated(path, old, new)
    try:
        with open(path, "w", encoding="utf-8") as f:
            f.write(after)
        in_unit = test_file.startswith("unit/")
        last = (["tests/unit", test_file[len("unit/"):]] if in_unit
                else ["tests/integration"])
        for part in (["proto"], ["client"], ["agent"], last):
            p = run(["make", "-s", jobs, "-C", *part], cwd=build, check=False)
            if p.returncode != 0:
                return "does not compile\n" + p.stdout[-2000:]
        return (attempt_unit if in_unit else attempt_integration)(
            source, build, test_file, test)
    except subprocess.TimeoutExpired:
        return "NOT CAUGHT (it hangs)"
    finally:
        with open(path, "w", encoding="utf-8") as f:
            f.write(before)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-l", action="store_true")
    parser.add_argument("-k", default="")
    parser.add_argument("-j", default="2")
    parser.add_argument("builddir", nargs="?")
    args = parser.parse_args()
    chosen = [m for m in MUTATIONS + SERVICE
              if re.search(args.k, " ".join((m[0], m[1], m[4], m[5])))]
    if args.l:
        for m in chosen:
            try:
                mutated(os.path.join(SOURCE, m[1]), m[2], m[3])
                note = ""
            except Stale as e:
                note = f"  {e}"
            print(f"{m[0]:30} {m[1]:24} {m[5]}{note}")
        return 0
    bad = 0
    with tempfile.TemporaryDirectory(prefix="qapi-mutate-") as top:
        source, build = copy_and_build(top, args.builddir, "-j" + args.j)
        for m in chosen:
            began = time.monotonic()
            try:
                verdict = attempt(m, source, build, "-j" + args.j)
            except Stale as e:
                verdict = str(e)
            bad += verdict != "caught"
            print(f"{m[0]:30} {m[1]:24} {verdict}  "
                  f"({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{len(chosen) - bad} of {len(chosen)} caught")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
