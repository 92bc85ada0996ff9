# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""How a process died, by real messages of real programs, and by lines that only look like them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils import crash_patterns
from ansible_collections.hft.incident.plugins.module_utils.crash_classification import (
    Classification,
    Life,
    Process,
    classify,
    deaths_in,
    life_before,
)
from ansible_collections.hft.incident.plugins.module_utils.crash_patterns import KERNEL, MANAGER, PROGRAM
from ansible_collections.hft.incident.plugins.module_utils.log_lines import (
    Line,
    Tail,
    file_lines,
    iso,
    journal_lines,
    kernel_lines,
    kmsg_lines,
    time_of,
)

UNIT = "hft_system.service"
PID = 4242
STARTED, ENDED = 1_763_953_200.0, 1_763_956_800.0  # 2025-11-24T03:00:00Z, 04:00:00Z
NOW = ENDED + 30.0
KINDS = {value for name, value in vars(crash_patterns).items() if name.isupper() and isinstance(value, str)} - {
    KERNEL, MANAGER, PROGRAM,
}  # fmt: skip


def life(how: str = "exited 1", **more: object) -> Life:
    code, status = how.split()
    result = {"exited": "exit-code" if status != "0" else "success", "killed": "signal", "dumped": "core-dump"}[code]
    known = {"unit": UNIT, "pid": PID, "started": STARTED, "ended": ENDED, "result": result, "code": code}
    return Life(**{**known, "status": int(status), **more})  # type: ignore[arg-type]  # a test names its fields


def said(*texts: str, at: float = ENDED - 1, origin: str = PROGRAM, source: str = "journal") -> list[Line]:
    return [Line(origin, source, text, at + index * 0.001) for index, text in enumerate(texts)]


def kernel(text: str, at: float = ENDED) -> Line:
    return Line(KERNEL, "kernel", text, at)


def texts(found: Classification) -> list[str]:
    return [shown.text for shown in found.because]


# Real messages --------------------------------------------------------------------------------------------------------

TRACEBACK = ("Traceback (most recent call last):", '  File "/opt/hft/engine.py", line 88, in run')
LIBPQ = 'connection to server at "127.0.0.1", port 5432 failed: Connection refused'

PROGRAMS = [
    # C, C++
    ("dumped 6", ["hft: engine/book.cpp:212: void Book::apply(Fill): Assertion `qty >= 0' failed."],
     "assertion_failure"),
    ("killed 6", ["Assertion failed: (qty >= 0), function apply, file book.cpp, line 212."], "assertion_failure"),
    ("killed 6", ["F1124 03:59:59.120000  4242 book.cc:12] Check failed: qty >= 0 "], "assertion_failure"),
    ("dumped 6", ["terminate called after throwing an instance of 'std::out_of_range'", "  what():  vector::_M_range"],
     "unhandled_exception"),
    ("dumped 6", ["terminate called after throwing an instance of 'std::bad_alloc'", "  what():  std::bad_alloc"],
     "out_of_memory"),
    ("dumped 6", ["libc++abi: terminating due to uncaught exception of type std::runtime_error: book"],
     "unhandled_exception"),
    ("dumped 6", ["double free or corruption (!prev)"], "killed_by_signal"),
    ("dumped 6", ["malloc(): corrupted top size"], "killed_by_signal"),
    # Python
    ("exited 1", [*TRACEBACK, "ZeroDivisionError: division by zero"], "unhandled_exception"),
    ("exited 1", [*TRACEBACK, "MemoryError"], "out_of_memory"),
    ("exited 1", [*TRACEBACK, "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8.00 TiB"],
     "out_of_memory"),
    ("exited 1", [*TRACEBACK, "AssertionError: position without fills"], "assertion_failure"),
    ("exited 1", [*TRACEBACK, "OSError: [Errno 28] No space left on device: '/var/log/hft/engine.log'"], "disk_full"),
    ("exited 1", [*TRACEBACK, f"psycopg.OperationalError: {LIBPQ}"], "database_connection_lost"),
    ("dumped 11", ["Fatal Python error: Segmentation fault", ""], "segmentation_fault"),
    # Rust, Java, Go
    ("exited 101", ["thread 'main' panicked at src/book.rs:12:5:", "index out of bounds: the len is 3"],
     "unhandled_exception"),
    ("exited 101", ["thread 'quoter' (4243) panicked at src/book.rs:12:5:", "assertion `left == right` failed"],
     "assertion_failure"),
    ("exited 101", ["thread 'main' panicked at 'assertion failed: qty >= 0', src/book.rs:12:5"], "assertion_failure"),
    ("dumped 6", ["memory allocation of 8796093022208 bytes failed"], "out_of_memory"),
    ("exited 1", ['Exception in thread "main" java.lang.IllegalStateException: book crossed'], "unhandled_exception"),
    ("exited 3", ["java.lang.OutOfMemoryError: Java heap space"], "out_of_memory"),
    ("exited 2", ["panic: runtime error: index out of range [7] with length 3"], "unhandled_exception"),
    ("exited 2", ["fatal error: runtime: out of memory"], "out_of_memory"),
    # databases
    ("exited 1", ["server closed the connection unexpectedly",
                  "\tThis probably means the server terminated abnormally"], "database_connection_lost"),
    ("exited 1", ["FATAL:  terminating connection due to administrator command"], "database_connection_lost"),
    ("exited 1", ["FATAL:  the database system is shutting down"], "database_connection_lost"),
    ("exited 1", ["SSL SYSCALL error: EOF detected"], "database_connection_lost"),
    ("exited 1", ["could not connect to server: Connection refused"], "database_connection_lost"),
    ("exited 1", ["org.postgresql.util.PSQLException: Connection to db:5432 refused. Check that the hostname"],
     "database_connection_lost"),
    ("exited 1", ["ERROR:  cannot execute INSERT in a read-only transaction"], "database_read_only"),
    ("exited 1", ["psycopg.errors.ReadOnlySqlTransaction: cannot execute UPDATE in a read-only transaction"],
     "database_read_only"),
    ("exited 1", [f'{LIBPQ[:40]}, port 5432 failed: FATAL:  password authentication failed for user "hft"'],
     "bad_configuration"),
    ("exited 1", ['FATAL:  database "hft_prod" does not exist'], "bad_configuration"),
    ("exited 1", ["database connection lost: server closed the connection unexpectedly; reconnecting",
                  "database is read-only: cannot execute INSERT in a read-only transaction"], "database_read_only"),
    ("exited 1", ['connection to server at "db", port 5432 failed: session is read-only'], "database_read_only"),
    ("exited 1", ["database connection lost, cannot reconnect: connection failed: Connection refused"],
     "database_connection_lost"),
    ("dumped 6", ["out of memory (MemoryError) after 8 blocks of 8388608 bytes", *TRACEBACK, "MemoryError",
                  "Fatal Python error: Aborted"], "out_of_memory"),
    # configuration
    ("exited 2", ["/etc/hft/hft-1.json: exchange binance: no driver 'binance-v2'"], "bad_configuration"),
    ("exited 2", ["/etc/hft/config.json: invalid configuration: 'venues' is missing"], "bad_configuration"),
    ("exited 78", ["usage"], "bad_configuration"),
    ("exited 1", ["yaml.scanner.ScannerError: mapping values are not allowed here"], "bad_configuration"),
    # a shell between the service manager and the program
    ("exited 139", ["/opt/hft/run.sh: line 3:  4242 Segmentation fault      (core dumped) ./hft"],
     "segmentation_fault"),
    ("exited 139", [], "segmentation_fault"),
    # nothing said
    ("dumped 11", [], "segmentation_fault"),
    ("killed 9", [], "killed_by_signal"),
    ("dumped 8", [], "killed_by_signal"),
    ("dumped 6", [], "killed_by_signal"),
    ("exited 1", [], "unknown"),
    ("exited 0", [], "clean_stop"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("how", "output", "kind"), PROGRAMS, ids=[f"{kind}-{i}" for i, (_, _, kind) in enumerate(PROGRAMS)]
)
def test_a_real_message_is_understood(how: str, output: list[str], kind: str) -> None:
    found = classify(life(how), said(*output))
    assert found.kind == kind, found
    assert found.contradictions == ()
    assert bool(found.because) == (kind != "unknown")
    logged = [f"2025-11-24T03:59:59.5Z CRITICAL [engine] {text}" for text in output]
    assert classify(life(how), said(*logged)).kind == kind  # the same, as a logger writes it


@pytest.mark.parametrize(
    "line",
    [
        f"Out of memory: Killed process {PID} (hft) total-vm:8388608kB, anon-rss:4194304kB, oom_score_adj:0",
        f"Out of memory: Kill process {PID} (hft) score 901 or sacrifice child",
        f"Memory cgroup out of memory: Killed process {PID} (hft) total-vm:8388608kB",
        f"oom_reaper: reaped process {PID} (hft), now anon-rss:0kB",
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/system.slice,"
        f"task_memcg=/system.slice/{UNIT},task=worker,pid=999,uid=0",
    ],
)
def test_the_kernels_oom_killer_explains_a_sigkill(line: str) -> None:
    found = classify(life("killed 9"), [kernel(line)])
    assert (found.kind, found.confidence, found.signal) == ("out_of_memory", "proven", "SIGKILL")
    assert line in texts(found)
    assert found.because[0].at == iso(ENDED)


@pytest.mark.parametrize(
    "line",
    [
        "Out of memory: Killed process 777 (postgres) total-vm:8388608kB",
        "oom-kill:constraint=CONSTRAINT_NONE,task_memcg=/system.slice/postgresql.service,task=postgres,pid=777,uid=26",
        f"oom-kill:constraint=CONSTRAINT_NONE,task_memcg=/system.slice/other-{UNIT},task=x,pid=777,uid=0",
    ],
)
def test_the_oom_kill_of_another_process_is_shown_and_proves_nothing(line: str) -> None:
    found = classify(life("killed 9"), [kernel(line)])
    assert found.kind == "killed_by_signal"
    assert [shown.text for shown in found.not_counted] == [line]


def test_a_fault_that_the_kernel_logged_under_a_threads_number_is_ours_at_the_moment_of_our_death() -> None:
    line = "quoter[4250]: segfault at 0 ip 0000555555555131 sp 00007fffffffe3a0 error 6 in hft[555555555000+1000]"
    assert line in texts(classify(life("dumped 11"), [kernel(line)]))
    late = classify(life("dumped 11"), [kernel(line, at=ENDED - 600)])
    assert line not in texts(late)
    other_end = classify(life("exited 1"), [kernel(line)])
    assert other_end.kind == "unknown"


@pytest.mark.parametrize(("ago", "kind"), [(-30, "out_of_memory"), (30, "out_of_memory"), (120, "killed_by_signal")])
def test_the_kernels_own_clock_may_differ_a_little(ago: float, kind: str) -> None:
    line = kernel(f"Out of memory: Killed process {PID} (hft) total-vm:1kB", at=ENDED - ago)
    assert classify(life("killed 9", started=ENDED - 0.1), [line]).kind == kind


def test_what_the_service_manager_says_counts_also_without_the_units_properties() -> None:
    lines = [Line(MANAGER, "journal", f"{UNIT}: Main process exited, code=dumped, status=11/SEGV", ENDED)]
    found = classify(Life(UNIT, PID), lines)
    assert (found.kind, found.confidence) == ("segmentation_fault", "proven")


def test_that_a_signal_ended_it_is_proven_also_where_the_journal_says_it_too() -> None:
    for lines in ([], said(f"{UNIT}: Main process exited, code=killed, status=9/KILL", origin=MANAGER)):
        found = classify(life("killed 9"), lines)
        assert (found.kind, found.confidence) == ("killed_by_signal", "proven")


def test_a_unit_that_could_not_start_its_program_is_badly_configured() -> None:
    lines = said(f"{UNIT}: Failed at step EXEC spawning /opt/hft/bin/engine: No such file or directory", origin=MANAGER)
    assert classify(life("exited 203"), lines).kind == "bad_configuration"
    assert classify(life("exited 203"), []).kind == "unknown"


def test_a_result_of_the_unit_decides_by_itself() -> None:
    assert classify(life("killed 9", result="oom-kill"), []).kind == "out_of_memory"
    assert classify(life("dumped 6", result="watchdog"), []).kind == "hung"


# Cause and consequence ------------------------------------------------------------------------------------------------


def test_a_cause_earlier_in_the_log_beats_its_consequence_later() -> None:
    lost = "server closed the connection unexpectedly"
    found = classify(life("exited 1"), said(lost, *TRACEBACK, "RuntimeError: no book to quote from", "AssertionError"))
    assert found.kind == "database_connection_lost"
    assert texts(found)[0] == lost
    assert {shown.kind for shown in found.also} == {"unhandled_exception", "assertion_failure"}
    assert found.contradictions == ()


def test_the_order_of_two_files_is_that_of_their_times() -> None:
    later = said("OSError: [Errno 28] No space left on device", at=ENDED - 0.5, source="/log/a")
    earlier = said("server closed the connection unexpectedly", at=ENDED - 0.9, source="/log/b")
    assert classify(life(), [*later, *earlier]).kind == "database_connection_lost"


def test_what_was_said_long_before_the_end_is_no_cause_unless_it_went_on() -> None:
    early = said("server closed the connection unexpectedly", at=ENDED - 600)
    assert classify(life(), early).kind == "unknown"
    went_on = [line for ago in range(600, 0, -30) for line in said("database is unreachable", at=ENDED - ago)]
    assert classify(life(), [*early, *went_on]).kind == "database_connection_lost"


def test_a_database_that_came_back_is_no_cause() -> None:
    lines = said("server closed the connection unexpectedly", "INFO reconnected to the database", "AssertionError: x")
    assert classify(life(), lines).kind == "assertion_failure"


def test_lines_below_an_error_prove_nothing() -> None:
    for level in ("DEBUG", "INFO", "NOTICE", "WARNING", "WARN"):
        lines = said(f"2025-11-24T03:59:59Z {level:8} [db] server closed the connection unexpectedly")
        assert classify(life(), lines).kind == "unknown", level
    assert classify(life(), said('{"level":"warning","msg":"No space left on device"}')).kind == "unknown"
    assert classify(life(), said('{"level":"error","msg":"No space left on device"}')).kind == "disk_full"


def log(*rows: str) -> list[Line]:
    return file_lines(Tail("/var/log/hft/engine.log", "\n".join(rows).encode()), 5000, NOW)


def test_the_traceback_of_a_warning_counts_only_as_the_last_word() -> None:
    handled = ("2025-11-24T03:59:58Z WARNING [venue] slow", *TRACEBACK, "MemoryError")
    assert classify(life(), log(*handled, "2025-11-24T03:59:59Z INFO [venue] fine again")).kind == "unknown"
    assert classify(life(), log(*handled)).kind == "out_of_memory"


# What only looks like it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "ERROR no Segmentation fault today, says the morning check",
        "ERROR ticket 4711: segfault at night, see the runbook on core dumps",
        "CRITICAL handler for SIGSEGV could not be installed",
        "ERROR venue said: Out of memory: Killed process 4242 (hft)",
        f"{UNIT}: Main process exited, code=dumped, status=11/SEGV",
        "ERROR binance: connection refused",
        "ERROR Connection to fstream.binance.com lost",
        "ERROR the assertion failed to convince anybody",
        "ERROR risk check: memory of the last fill is missing",
        "ERROR order rejected: configuration of the account forbids it",
    ],
)
def test_a_line_of_the_program_that_merely_mentions_it_proves_nothing(line: str) -> None:
    found = classify(life("exited 1"), said(line))
    assert (found.kind, found.because, found.confidence) == ("unknown", (), "none")


def test_yesterdays_segfault_is_not_todays() -> None:
    yesterday = STARTED - 86_400
    lines = [
        Line(MANAGER, "journal", f"{UNIT}: Main process exited, code=dumped, status=11/SEGV", yesterday),
        Line(KERNEL, "kernel", f"hft[{PID}]: segfault at 0 ip 0000555555555131 sp 00007fffffffe3a0 error 6", yesterday),
        *said("Fatal Python error: Segmentation fault", at=yesterday),
    ]
    found = classify(life("exited 1"), lines)
    assert (found.kind, found.because) == ("unknown", ())
    assert found.crashes == 1


def test_lines_of_another_invocation_do_not_count_however_near_they_are() -> None:
    before = Line(PROGRAM, "journal", "MemoryError", ENDED - 0.1, life="a" * 32)
    now = Line(PROGRAM, "journal", "AssertionError", ENDED - 0.05, life="b" * 32)
    assert classify(life(invocation="b" * 32), [before, now]).kind == "assertion_failure"


def test_the_next_life_in_the_same_file_does_not_count() -> None:
    rows = ("2025-11-24T03:59:59Z CRITICAL AssertionError: x", "2025-11-24T04:00:20Z ERROR No space left on device")
    assert classify(life(), log(*rows)).kind == "assertion_failure"
    assert len(classify(life(), log(*rows)).also) == 0


# Contradictions -------------------------------------------------------------------------------------------------------


def test_what_cannot_explain_the_end_is_shown_as_a_contradiction() -> None:
    found = classify(life("killed 9"), said("server closed the connection unexpectedly"))
    assert found.kind == "killed_by_signal"
    (against,) = found.contradictions
    assert "database_connection_lost" in against
    assert "SIGKILL" in against


def test_a_clean_end_after_a_fatal_line_is_a_contradiction() -> None:
    found = classify(life("exited 0"), said("MemoryError"))
    assert found.kind == "clean_stop"
    assert "out_of_memory" in found.contradictions[0]


def test_sigterm_is_a_clean_stop_only_where_the_service_manager_says_so() -> None:
    assert classify(life("killed 15", result="success"), []).kind == "clean_stop"
    assert classify(life("killed 15"), []).kind == "killed_by_signal"


# Alive ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "answering", "kind"),
    [
        ("T", None, "hung"),
        ("t", None, "hung"),
        ("T", False, "hung"),
        ("D", False, "hung"),
        ("S", False, "hung"),
        ("R", False, "hung"),
        ("D", None, "running"),
        ("S", None, "running"),
        ("S", True, "running"),
    ],
)
def test_a_living_process(state: str, answering: bool | None, kind: str) -> None:
    found = classify(life("exited 0", code="", status=None, ended=None), [], Process(PID, state, answering))
    assert (found.kind, found.signal, found.exit_status) == (kind, None, None)
    assert f"state {state}" in texts(found)[0]


def test_a_stopped_process_that_answers_is_a_contradiction() -> None:
    found = classify(life(code="", status=None, ended=None), [], Process(PID, "T", True))
    assert "answers" in found.contradictions[0]


# Again and again ------------------------------------------------------------------------------------------------------


def test_a_crash_loop_shows_its_count_and_its_cause() -> None:
    deaths = [
        Line(MANAGER, "journal", f"{UNIT}: Main process exited, code=exited, status=1/FAILURE", ENDED - ago)
        for ago in (300, 200, 100, 0)
    ]
    found = classify(life("exited 1", started=ENDED - 50), [*deaths, *said("MemoryError")])
    assert (found.kind, found.repeated, found.crashes) == ("out_of_memory", True, 4)
    counted = classify(life("exited 1", n_restarts=5), [])
    assert (counted.repeated, counted.crashes) == (True, 6)
    once = classify(life("exited 1"), deaths[-1:])
    assert (once.repeated, once.crashes) == (False, 1)


def test_stops_are_no_crashes() -> None:
    stops = [
        Line(MANAGER, "journal", f"{UNIT}: Main process exited, code=killed, status=15/TERM", ENDED - ago)
        for ago in (300, 200)
    ]
    assert classify(life("exited 1"), stops).crashes == 1


def died(ago: float, how: str, invocation: str) -> Line:
    text = f"{UNIT}: Main process exited, {how}"
    return Line(MANAGER, "journal", text, ENDED - ago, life=invocation)


CRASHED = died(100, "code=killed, status=9/KILL", "second")
BEFORE = (died(200, "code=exited, status=1/FAILURE", "first"), CRASHED)


def test_one_that_was_up_again_before_anybody_could_look_shows_the_life_before() -> None:
    up_again = life(code="", status=None, ended=None, started=ENDED - 99, n_restarts=2)
    before = life_before(up_again, deaths_in(BEFORE), NOW)
    assert before == Life(UNIT, None, ENDED - 200, ENDED - 100, "", "killed", 9, 2, "second")
    found = classify(before, BEFORE)
    assert (found.kind, found.signal, found.repeated) == ("killed_by_signal", "SIGKILL", True)


@pytest.mark.parametrize(
    ("present", "deaths"),
    [
        ({"n_restarts": 0}, BEFORE),  # somebody started it by hand
        ({"started": ENDED - 400}, BEFORE),  # it has run for long, and that before died later than it began
        ({"started": None}, BEFORE),
        ({}, ()),
        ({}, (died(100, "code=exited, status=0/SUCCESS", "x"),)),
    ],
)
def test_without_a_crash_right_before_it_the_present_life_counts(
    present: dict[str, object], deaths: Sequence[Line]
) -> None:
    known: dict[str, Any] = {"code": "", "status": None, "ended": None, "started": ENDED - 99, "n_restarts": 2}
    assert life_before(life(**{**known, **present}), deaths_in(deaths), NOW) is None


# For every input ------------------------------------------------------------------------------------------------------


def test_secrets_are_taken_out_of_what_is_shown() -> None:
    line = 'psycopg.OperationalError: postgresql://hft:canary-9871@db/hft: connection to server at "db" failed'
    (shown, *_) = classify(life(), said(line)).because
    assert "canary" not in shown.text


@settings(deadline=None)
@given(
    data=st.lists(st.binary(max_size=200), max_size=5),
    how=st.sampled_from(["exited 1", "exited 0", "killed 9", "dumped 11", "dumped 6", "killed 99"]),
    state=st.none() | st.sampled_from("RSDTtZ"),
)
def test_nothing_raises_on_any_bytes(data: Sequence[bytes], how: str, state: str | None) -> None:
    lines = [
        line
        for part in data
        for line in (
            *file_lines(Tail("/log", part, 7), 100, NOW),
            *file_lines(Tail("/log", part), 100, NOW),
            *journal_lines(part.decode("utf-8", "replace"), UNIT),
            *kernel_lines(part.decode("latin-1")),
            *kmsg_lines([part], STARTED),
        )
    ]
    found = classify(life(how), lines, Process(PID, state) if state else None)
    assert found.kind in KINDS


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["MESSAGE", "__REALTIME_TIMESTAMP", "_PID", "SYSLOG_IDENTIFIER", "UNIT"]),
                       st.none() | st.text() | st.integers() | st.lists(st.integers() | st.text())))  # fmt: skip
def test_no_entry_of_the_journal_raises(entry: dict[str, object]) -> None:
    for line in journal_lines(json.dumps(entry), UNIT):
        classify(life(), [line])


IRRELEVANT = st.sampled_from(
    [
        "2025-11-24T03:59:58.1Z INFO     [quoter] 12 quotes",
        "2025-11-24T03:59:58.2Z ERROR    [venue] order rejected: post-only",
        "2025-11-24T03:59:58.3Z WARNING  [venue] segfault is a funny word",
    ]
)
PROVING = [
    ("2025-11-24T03:59:59.1Z CRITICAL [db] server closed the connection unexpectedly",),
    ("2025-11-24T03:59:59.2Z CRITICAL [system] crashed", *TRACEBACK, "AssertionError"),
    ("2025-11-24T03:59:59.3Z ERROR [disk] [Errno 28] No space left on device",),
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PROVING), max_size=3), st.data())
def test_irrelevant_lines_change_nothing(proving: list[tuple[str, ...]], data: st.DataObject) -> None:
    expected = classify(life(), log(*(row for entry in proving for row in entry)))
    rows: list[str] = []
    for entry in proving:
        rows += [*data.draw(st.lists(IRRELEVANT, max_size=3)), *entry]
    rows += data.draw(st.lists(IRRELEVANT, max_size=3))
    found = classify(life(), log(*rows))

    def told(one: Classification) -> list[object]:
        return [one.kind, one.confidence, one.contradictions, texts(one), [shown.text for shown in one.also]]

    assert told(found) == told(expected)


@settings(deadline=None)
@given(st.lists(st.text(alphabet="abc [](){}:,.0123456789-\n", max_size=80), max_size=10))
def test_nothing_is_known_where_nothing_proves_it(rows: list[str]) -> None:
    assert classify(life("exited 1"), said(*rows)).kind == "unknown"


# Times ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2025-11-24T03:59:59.123456Z CRITICAL x", "2025-11-24T03:59:59.123456Z"),
        ("[2025-11-24 03:59:59,123 UTC] x", "2025-11-24T03:59:59.123000Z"),
        ("2025-11-24T04:59:59+01:00 x", "2025-11-24T03:59:59.000000Z"),
        ("2025-11-23T22:29:59-0530 x", "2025-11-24T03:59:59.000000Z"),
        ('{"level":"info","ts":"2025-11-24T03:59:59Z"}', "2025-11-24T03:59:59.000000Z"),
        ('{"time":1763956799,"level":"info"}', "2025-11-24T03:59:59.000000Z"),
        ('{"time":1763956799123,"level":"info"}', "2025-11-24T03:59:59.123000Z"),
        ('{"ts":1763956799.5,"level":"info"}', "2025-11-24T03:59:59.500000Z"),
        ("no time 2025-11-24T03:59:59Z here", None),
        ("2025-13-44T03:59:59Z", None),
        ("", None),
    ],
)
def test_times_of_logs(text: str, utc: str | None) -> None:
    assert iso(time_of(text, NOW)) == utc


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_time_without_a_zone_is_local_and_without_a_year_the_last_one(
    monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        hours = 0 if zone == "UTC" else 5
        assert time_of("2025-11-24 03:59:59 x", NOW) == ENDED - 1 + hours * 3600
        assert time_of("Nov 24 03:59:59 host hft[1]: x", NOW + hours * 3600) == ENDED - 1 + hours * 3600
        assert time_of("F1124 03:59:59.5 12 book.cc:1] x", NOW + hours * 3600) == ENDED - 0.5 + hours * 3600
        assert (time_of("Dec 31 23:00:00 x", NOW) or NOW) < NOW
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_program_cannot_speak_for_the_service_manager() -> None:
    row = '{"MESSAGE":"x: killed by the OOM killer","SYSLOG_IDENTIFIER":"systemd","UNIT":"%s","_SYSTEMD_UNIT":"%s"}'
    assert [line.origin for line in journal_lines(row % (UNIT, UNIT), UNIT)] == [PROGRAM]
    assert [line.origin for line in journal_lines(row % (UNIT, "init.scope"), UNIT)] == [MANAGER]


def test_a_message_that_the_journal_keeps_as_bytes_is_read() -> None:
    (line,) = journal_lines('{"MESSAGE":[77,101,109,255]}', UNIT)
    assert line.text == "Mem�"


def test_the_cut_line_at_the_beginning_of_a_tail_does_not_count() -> None:
    lines = file_lines(Tail("/log", b"MemoryError\n2025-11-24T03:59:59Z ERROR x\n", 100), 10, NOW)
    assert [(line.text[-1], line.place) for line in lines] == [("x", "byte 112")]
