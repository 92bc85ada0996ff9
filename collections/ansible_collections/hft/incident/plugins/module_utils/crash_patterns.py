# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What proves how a trading process died: the tables that ``crash_classification`` reads, nothing else.

Sources: the kernel's ``arch/x86/kernel/traps.c``, ``arch/x86/mm/fault.c`` and ``mm/oom_kill.c``; systemd.service(5),
systemd.exec(5) ("Process exit codes") and systemd's ``core/service.c``; glibc ``assert.c`` and ``malloc.c``; libstdc++
``vterminate.cc``; CPython ``faulthandler`` and ``traceback``; the Rust standard library's ``panicking.rs`` and
``alloc.rs``; libpq ``fe-connect.c`` and ``fe-misc.c``; PostgreSQL's error codes (Appendix A).
"""

from __future__ import annotations

import re
from typing import NamedTuple

SEGMENTATION_FAULT = "segmentation_fault"
OUT_OF_MEMORY = "out_of_memory"
ASSERTION_FAILURE = "assertion_failure"
UNHANDLED_EXCEPTION = "unhandled_exception"
DATABASE_LOST = "database_connection_lost"
DATABASE_READ_ONLY = "database_read_only"
DISK_FULL = "disk_full"
BAD_CONFIGURATION = "bad_configuration"
KILLED_BY_SIGNAL = "killed_by_signal"
HUNG = "hung"
CLEAN_STOP = "clean_stop"
RUNNING = "running"
UNKNOWN = "unknown"

#: Priorities, and how sure each makes the answer. The highest one decides; among equals the earliest line does, since
#: what comes later may be its consequence.
PROVEN, REPORTED, INDICATED = 3, 2, 1
CONFIDENCE = {
    PROVEN: "proven",  #: the kernel or the service manager says so
    REPORTED: "reported",  #: the program itself named it as it died
    INDICATED: "indicated",  #: a general sign, which something else may have caused
}

#: Who says a line: the kernel, the service manager, or the program (its log files and what it prints).
KERNEL, MANAGER, PROGRAM = "kernel", "manager", "program"


class Pattern(NamedTuple):
    """A line of ``source`` in which ``regex`` is found proves ``kind``; of one line the first that fits counts.

    A group ``pid`` or ``cgroup`` in it must name this process or this unit, else the line is about another one.
    """

    kind: str
    source: str
    regex: re.Pattern[str]
    priority: int
    why: str


class Ending(NamedTuple):
    """A unit whose ``field`` (``result``, ``signal`` or ``exit``) is one of ``values`` ended by ``kind``."""

    kind: str
    field: str
    values: frozenset[str]
    why: str


class Recovery(NamedTuple):
    """A line of the program that takes back what earlier lines said of ``kinds``."""

    kinds: frozenset[str]
    regex: re.Pattern[str]


#: What the unit's own properties prove, first one first.
ENDINGS = (
    Ending(OUT_OF_MEMORY, "result", frozenset({"oom-kill"}), "the service manager saw the kernel's OOM killer at work"),
    Ending(HUNG, "result", frozenset({"watchdog"}), "the service manager's watchdog got no sign of life and killed it"),
    Ending(SEGMENTATION_FAULT, "signal", frozenset({"11"}), "it died by SIGSEGV"),
    Ending(BAD_CONFIGURATION, "exit", frozenset({"78"}), "exit status 78 is EX_CONFIG (sysexits.h)"),
)

_ANY_ERROR = frozenset({"exit"})
_ABORTED = frozenset({"4", "5", "6"})  # SIGILL, SIGTRAP, SIGABRT: what a program sends itself
#: The ends that a kind can explain: signals by number, ``exit`` for any exit status but 0. What the program says of a
#: kind that cannot explain its end decides nothing and is shown as a contradiction.
EXPLAINS = {
    SEGMENTATION_FAULT: frozenset({"11"}),
    OUT_OF_MEMORY: _ABORTED | _ANY_ERROR | {"9"},
    ASSERTION_FAILURE: _ABORTED | _ANY_ERROR,
    UNHANDLED_EXCEPTION: _ABORTED | _ANY_ERROR,
    DATABASE_LOST: _ABORTED | _ANY_ERROR,
    DATABASE_READ_ONLY: _ABORTED | _ANY_ERROR,
    DISK_FULL: _ABORTED | _ANY_ERROR | {"7"},  # SIGBUS: a page of a mapped file that the disk has no room for
    BAD_CONFIGURATION: _ABORTED | _ANY_ERROR,
    KILLED_BY_SIGNAL: _ABORTED | {"7", "8", "9", "11", "15", "31"},
    HUNG: _ABORTED | {"9"},
}


def _pattern(kind: str, source: str, regex: str, priority: int, why: str) -> Pattern:
    return Pattern(kind, source, re.compile(regex), priority, why)


PATTERNS = (
    # The kernel ------------------------------------------------------------------------------------------------------
    _pattern(
        OUT_OF_MEMORY, KERNEL, r"\boom-kill:.*\btask_memcg=(?P<cgroup>[^,\s]*),.*\bpid=(?P<pid>\d+)", PROVEN,
        "the kernel's OOM killer chose it",
    ),
    _pattern(
        OUT_OF_MEMORY, KERNEL, r"\b[Oo]ut of memory(?: \([\w ]+\))?: Kill(?:ed)? process (?P<pid>\d+) ", PROVEN,
        "the kernel's OOM killer killed it",
    ),
    _pattern(OUT_OF_MEMORY, KERNEL, r"\boom_reaper: reaped process (?P<pid>\d+) ", PROVEN,
             "the kernel took back its memory after an OOM kill"),
    _pattern(SEGMENTATION_FAULT, KERNEL, r"\[(?P<pid>\d+)\]: segfault at [0-9a-f]+ ip [0-9a-f]+ sp ", PROVEN,
             "the kernel logged the fault"),
    _pattern(SEGMENTATION_FAULT, KERNEL, r"\btraps: .*\[(?P<pid>\d+)\] general protection(?: fault)? ip:", PROVEN,
             "the kernel logged the fault"),
    # The service manager ---------------------------------------------------------------------------------------------
    _pattern(OUT_OF_MEMORY, MANAGER, r"killed by the OOM killer|Failed with result 'oom-kill'|systemd-oomd killed \d",
             PROVEN, "the service manager saw the OOM killer at work"),
    _pattern(SEGMENTATION_FAULT, MANAGER, r"Main process exited, code=(?:dumped|killed), status=11/SEGV", PROVEN,
             "the service manager saw SIGSEGV"),
    _pattern(HUNG, MANAGER, r": Watchdog timeout\b", PROVEN, "it gave its watchdog no sign of life"),
    _pattern(BAD_CONFIGURATION, MANAGER, r": Failed at step [A-Z_]+ spawning |Failed to load environment files", PROVEN,
             "the unit could not even start the program"),
    _pattern(KILLED_BY_SIGNAL, MANAGER, r"Main process exited, code=(?:dumped|killed), status=\d+/\w+", INDICATED,
             "the service manager saw the signal"),
    # The program: memory ---------------------------------------------------------------------------------------------
    _pattern(OUT_OF_MEMORY, PROGRAM, r"\bstd::bad_alloc\b|^memory allocation of \d+ bytes failed", REPORTED,
             "an allocation failed"),
    _pattern(OUT_OF_MEMORY, PROGRAM, r"^(?:[\w.]+\.)?_?(?:Array)?MemoryError(?::|$)", REPORTED, "an allocation failed"),
    _pattern(OUT_OF_MEMORY, PROGRAM, r"\bjava\.lang\.OutOfMemoryError\b", REPORTED, "the heap is full"),
    _pattern(OUT_OF_MEMORY, PROGRAM, r"\[Errno 12\] Cannot allocate memory|[:\]] Cannot allocate memory$", REPORTED,
             "the system gave no memory (ENOMEM)"),
    _pattern(OUT_OF_MEMORY, PROGRAM, r"^(?:fatal error: )?runtime: out of memory|^fatal error: out of memory", REPORTED,
             "an allocation failed"),
    # The program: its database. What a server says of a wrong password or name is our configuration.
    _pattern(
        BAD_CONFIGURATION, PROGRAM,
        r'(?:password|peer|ident) authentication failed for user|no pg_hba\.conf entry for|role "[^"]*" does not exist'
        r'|\bdatabase "[^"]*" does not exist|fe_sendauth: no password supplied',
        REPORTED, "the database refuses how it logs in",
    ),
    _pattern(
        DATABASE_READ_ONLY, PROGRAM,
        r"cannot execute [A-Z ]+ in a read-only transaction|\bReadOnlySqlTransaction\b|--read-only option"
        r"|\bsession is read-only\b"
        r"|attempt to write a readonly database|\b[Dd]atabase is (?:in )?read[- ]only\b",
        REPORTED, "the database takes no writes",
    ),
    _pattern(
        DATABASE_LOST, PROGRAM,
        r"server closed the connection unexpectedly|could not connect to server: "
        r"|connection to (?:server|client) (?:at|on) .*failed|\bthe connection is lost\b|no connection to the server"
        r"|SSL (?:connection has been closed unexpectedly|SYSCALL error: EOF detected)",
        REPORTED, "the database client lost the server",
    ),
    _pattern(
        DATABASE_LOST, PROGRAM,
        r"terminating connection (?:due to|because)|\bthe database system is (?:starting up|shutting down|in rec)"
        r"|(?:sorry, too many clients already|remaining connection slots are reserved)",
        REPORTED, "the database server ended or refused the connection",
    ),
    _pattern(
        DATABASE_LOST, PROGRAM,
        r"PSQLException: (?:Connection to .* refused|This connection has been closed|An I/O error occurred while)"
        r"|\bSQL(?:Transient|NonTransient)?ConnectionException\b|\bCommunications link failure\b"
        r"|\bMySQL server has gone away\b|\bLost connection to MySQL server\b|\bConnectionDoesNotExistError\b"
        r"|\berror connecting to server: ",
        REPORTED, "the database client lost the server",
    ),
    _pattern(
        DATABASE_LOST, PROGRAM,
        r"\b[Dd]atabase (?:connection )?(?:is |was )?(?:lost|gone|unavailable|unreachable|not reachable)\b"
        r"|\b[Ll]ost (?:the )?(?:connection to )?(?:the |its )?database\b"
        r"|\b(?:[Dd]atabase|[Pp]ostgres(?:QL)?)\b.{0,80}\b[Cc]onnection refused\b",
        REPORTED, "it says that its database is gone",
    ),
    # The program: disk, configuration --------------------------------------------------------------------------------
    _pattern(DISK_FULL, PROGRAM, r"\bNo space left on device\b|\b[Dd]isk quota exceeded\b|\bENOSPC\b", REPORTED,
             "a write found no room (ENOSPC)"),
    _pattern(
        BAD_CONFIGURATION, PROGRAM,
        r"\b(?:[Ii]nvalid|[Bb]ad|[Mm]alformed|[Bb]roken) config(?:uration)?\b|\b[Cc]onfig(?:uration)? error\b"
        r"|\b[Cc]onfig(?:uration)?(?: file)?\b.{0,160}\b(?:is|are) (?:invalid|not valid|malformed|missing|unknown)\b"
        r"|(?:[Cc]annot|[Cc]ould not|[Ff]ailed to|[Uu]nable to) (?:read|load|parse|open) (?:the )?config(?:uration)?\b"
        r"|\bConfig(?:uration)?(?:Error|Exception)\b|\bSettingsError\b|\bTOMLDecodeError\b"
        r"|\byaml\.(?:scanner|parser)\.\w+Error\b",
        REPORTED, "it says that its configuration is wrong",
    ),
    _pattern(BAD_CONFIGURATION, PROGRAM, r"^/\S+\.(?:json|ya?ml|toml|ini|conf|cfg|xml)(?::\d+)*: ", INDICATED,
             "it complains of a file of settings"),
    # The program: its own bugs ---------------------------------------------------------------------------------------
    _pattern(SEGMENTATION_FAULT, PROGRAM, r"^Fatal Python error: Segmentation fault", REPORTED,
             "the interpreter's fault handler said so"),
    _pattern(SEGMENTATION_FAULT, PROGRAM, r": line \d+: +\d+ Segmentation fault\b|^Segmentation fault(?: \(core|$)",
             REPORTED, "the shell that started it said so"),
    _pattern(SEGMENTATION_FAULT, PROGRAM, r"^# +SIGSEGV \(0xb\) at pc=|^\[signal SIGSEGV: segmentation violation",
             REPORTED, "its runtime said so"),
    _pattern(ASSERTION_FAILURE, PROGRAM, r"^(?:[^\s:]+: )?[^\s:]+:\d+: .*Assertion [`'].*' failed\.?", REPORTED,
             "assert() failed"),
    _pattern(ASSERTION_FAILURE, PROGRAM, r"^Assertion failed: |^F\d{4} \d.*\] Check failed: ", REPORTED,
             "assert() failed"),
    _pattern(ASSERTION_FAILURE, PROGRAM, r"^thread '.*' (?:\(\d+\) )?panicked at .*assertion |^assertion .*failed",
             REPORTED, "assert! failed"),
    _pattern(ASSERTION_FAILURE, PROGRAM, r"^(?:Caused by: )?(?:java\.lang\.)?AssertionError(?::|$)", REPORTED,
             "an assertion failed"),
    _pattern(KILLED_BY_SIGNAL, PROGRAM,
             r"^(?:malloc|free|realloc|munmap_chunk)\(\): |^double free or corruption|^\*\*\* stack smashing detected",
             REPORTED, "the C library found damaged memory and aborted"),
    _pattern(UNHANDLED_EXCEPTION, PROGRAM, r"^terminate called |^libc\+\+abi.*: terminating ", INDICATED,
             "a C++ exception that nobody caught"),
    _pattern(UNHANDLED_EXCEPTION, PROGRAM, r"^thread '.*' (?:\(\d+\) )?panicked at ", INDICATED, "a Rust panic"),
    _pattern(UNHANDLED_EXCEPTION, PROGRAM, r"^Traceback \(most recent call last\):|^Fatal Python error: ", INDICATED,
             "a Python exception"),
    _pattern(UNHANDLED_EXCEPTION, PROGRAM, r'^Exception in thread "|^Uncaught |^panic: |^fatal error: ', INDICATED,
             "an exception that nobody caught"),
    _pattern(UNHANDLED_EXCEPTION, PROGRAM, r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception)(?::|$)", INDICATED,
             "the exception"),
)  # fmt: skip

RECOVERIES = (
    # Who is told that it is read-only has a connection again.
    Recovery(frozenset({DATABASE_LOST}), re.compile(r"\bread-only transaction\b|\bsession is read-only\b")),
    Recovery(
        frozenset({DATABASE_LOST, DATABASE_READ_ONLY}),
        re.compile(r"\b[Rr]e-?connected\b|\b[Cc]onnection (?:was )?re(?:-?established|stored)\b|\bdatabase is back\b"),
    ),
)
