# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Asking many places until one deadline: nothing hangs, who is asked again and how often, what is told of a failure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.module_utils import reading
from ansible_collections.hft.incident.plugins.module_utils.deadline import Deadline
from ansible_collections.hft.incident.plugins.module_utils.kill_order import AUTH_PAUSE_S, RATE_LIMIT_PAUSE_S
from ansible_collections.hft.incident.plugins.module_utils.reading import Answer, answers, read_systems, read_venues
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import SecretError
from ansible_collections.hft.incident.plugins.module_utils.settings import SettingsError, SystemEntry, VenueEntry
from ansible_collections.hft.incident.plugins.module_utils.venues.errors import (
    AuthError,
    Banned,
    ClockSkew,
    MalformedReply,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VenueError,
)

REFUSED = Unavailable("GET /orders: connection refused")
TIMED_OUT = UnknownOutcome("GET /orders: no answer in time")
#: Longer than any test takes: whoever really waits for it has failed.
LONG_S = 30.0


class ByHand(Deadline):
    """Time passes only where a test says so. Once ``hangs`` is demanded, who waits for the answers gives up then."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.hangs: threading.Event | None = None
        self._waiter = threading.current_thread()

    def remaining(self) -> float:
        if self.hangs is not None and threading.current_thread() is self._waiter:
            assert self.hangs.wait(LONG_S)
            return 0.0
        return max(0.0, self.left)


class Place:
    """A venue or a trading system of which each question is answered by the next step, the last again and again."""

    def __init__(self, deadline: ByHand, ask: Callable[..., dict[str, Answer[Any]]], entry: Any) -> None:
        self.deadline = deadline
        self.pauses: list[float] = []
        self.attempts = 0
        self._ask = ask
        self._entry = entry

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.deadline.left -= seconds

    def answer(self, *steps: Any) -> Answer[Any]:
        """A step is the answer, an error to raise, or a function that gives either."""

        def read(_place: Any) -> Any:
            step = steps[min(self.attempts, len(steps) - 1)]
            self.attempts += 1
            said = step() if callable(step) else step
            if isinstance(said, Exception):
                raise said
            return said

        return self._ask([self._entry], read, self.deadline.left)["main"]


@pytest.fixture(params=["venue", "trading system"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    """With ten seconds until the deadline."""
    deadline = ByHand(10.0)
    if request.param == "venue":
        place = Place(deadline, read_venues, VenueEntry("main", "binance"))
    else:
        place = Place(deadline, read_systems, SystemEntry("main", "http://127.0.0.1:9"))
    monkeypatch.setattr(reading, "Deadline", lambda _seconds: deadline)
    monkeypatch.setattr(reading, "open_venue", lambda _entry, **_: SimpleNamespace(http=SimpleNamespace()))
    monkeypatch.setattr(reading, "time", SimpleNamespace(sleep=place.sleep))
    return place


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Set when the test is over: what hung may end."""
    event = threading.Event()
    yield event
    event.set()


def failing(error: Exception) -> Callable[[], Any]:
    def call() -> Any:
        raise error

    return call


# All at once, until the deadline --------------------------------------------------------------------------------------


def test_all_are_asked_at_the_same_moment_and_answer_in_the_order_given() -> None:
    everyone = threading.Barrier(5)

    def call(number: int) -> Callable[[], int]:
        def ask() -> int:
            everyone.wait(LONG_S)
            return number

        return ask

    given = answers({name: call(number) for number, name in enumerate("ebacd")}, Deadline(LONG_S))
    assert list(given.items()) == [(name, Answer(number)) for number, name in enumerate("ebacd")]


def test_nothing_to_ask_is_nothing_answered() -> None:
    assert answers({}, Deadline(0)) == {}


def test_a_call_that_hangs_is_late_and_takes_nothing_from_the_others(released: threading.Event) -> None:
    class OneWait(Deadline):
        """Time for the first to answer, and none after it."""

        def __init__(self) -> None:
            self.waits = [LONG_S]

        def remaining(self) -> float:
            return self.waits.pop() if self.waits else 0.0

    calls: dict[str, Callable[[], object]] = {"answers": lambda: "here", "hangs": released.wait}
    given = answers(calls, OneWait())
    assert given["answers"] == Answer("here")
    assert given["hangs"] == Answer(None, "no answer in time", "unknown_outcome")


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (REFUSED, Answer(None, "GET /orders: connection refused", "unavailable")),
        (AuthError("key refused"), Answer(None, "key refused", "auth")),
        (MalformedReply("not a list"), Answer(None, "not a list", "malformed")),
        (SettingsError("unknown driver"), Answer(None, "unknown driver", "settings")),
        (SecretError("api_key: not set"), Answer(None, "api_key: not set", "settings")),
        (KeyError("hunter2hunter2"), Answer(None, "internal error (KeyError)", "failed")),
        (Rejected("no: ?signature=ab12ab12"), Answer(None, "no: ?signature=***", "rejected")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_is_an_answer_with_its_kind_and_without_secrets(error: Exception, answer: Answer[Any]) -> None:
    given = answers({"bad": failing(error), "good": lambda: 1}, Deadline(LONG_S))
    assert given == {"bad": answer, "good": Answer(1)}


# Who is asked again ---------------------------------------------------------------------------------------------------


def test_an_answer_is_asked_for_once(place: Place) -> None:
    assert place.answer([]) == Answer([])
    assert place.attempts == 1


@pytest.mark.parametrize("error", [REFUSED, TIMED_OUT, MalformedReply("an HTML page"), RateLimited("slow down")])
def test_what_may_pass_is_asked_again_until_it_does(place: Place, error: VenueError) -> None:
    assert place.answer(error, error, error, "here") == Answer("here")
    assert place.attempts == 4


@pytest.mark.parametrize("error", [REFUSED, MalformedReply("an HTML page")])
def test_what_does_not_pass_is_asked_with_longer_and_longer_pauses_while_there_is_time(
    place: Place, error: VenueError
) -> None:
    assert place.answer(error) == Answer(None, str(error), error.kind)
    assert place.attempts == len(place.pauses) + 1
    assert place.pauses[0] < place.pauses[2] < place.pauses[4]
    assert 8.0 < sum(place.pauses) < 10.0


@pytest.mark.parametrize("error", [AuthError("key refused"), ClockSkew("old"), Rejected("no such account")])
def test_a_definite_no_is_asked_once_more_and_not_again(place: Place, error: VenueError) -> None:
    assert place.answer(error) == Answer(None, str(error), error.kind)
    assert place.attempts == 2


def test_a_stray_no_is_forgiven_and_a_refused_key_is_asked_slowly(place: Place) -> None:
    assert place.answer(AuthError("key refused"), "here") == Answer("here")
    assert place.pauses == [AUTH_PAUSE_S]


def test_who_has_shut_us_out_is_not_asked_again(place: Place) -> None:
    assert place.answer(Banned("this address is banned")) == Answer(None, "this address is banned", "banned")
    assert (place.attempts, place.pauses) == (1, [])


@pytest.mark.parametrize(("retry_after", "pause"), [(3.0, 3.0), (None, RATE_LIMIT_PAUSE_S)])
def test_too_many_requests_are_waited_out_for_as_long_as_the_venue_says(
    place: Place, retry_after: float | None, pause: float
) -> None:
    assert place.answer(RateLimited("slow down", retry_after=retry_after), "here") == Answer("here")
    assert place.pauses == [pause]


def test_a_wait_beyond_the_deadline_is_not_begun(place: Place) -> None:
    error = RateLimited("slow down", retry_after=10.1)
    assert place.answer(error) == Answer(None, "slow down", "rate_limited")
    assert (place.attempts, place.pauses) == (1, [])


@pytest.mark.parametrize("error", [SettingsError("unknown driver"), KeyError("a defect")])
def test_what_is_not_the_other_sides_doing_is_not_asked_again(place: Place, error: Exception) -> None:
    assert place.answer(error).error is not None
    assert place.attempts == 1


# The last attempt meets the deadline ----------------------------------------------------------------------------------


def at_the_deadline(place: Place, error: VenueError) -> Callable[[], VenueError]:
    def step() -> VenueError:
        place.deadline.left = 0.0
        return error

    return step


def hanging(place: Place, released: threading.Event) -> Callable[[], str]:
    place.deadline.hangs = threading.Event()

    def step() -> str:
        assert place.deadline.hangs
        place.deadline.hangs.set()
        released.wait()
        return "too late"

    return step


CAUSES = [
    (REFUSED, "GET /orders: connection refused (no answer in time)"),
    (AuthError("key refused"), "key refused (no answer in time)"),
    (MalformedReply("an HTML page"), "an HTML page (no answer in time)"),
    (TIMED_OUT, "GET /orders: no answer in time"),
]


@pytest.mark.parametrize(("cause", "told"), CAUSES)
def test_an_attempt_that_the_deadline_ends_does_not_hide_the_cause(place: Place, cause: VenueError, told: str) -> None:
    cut = Unavailable("GET /orders: not sent, no time left")
    assert place.answer(cause, at_the_deadline(place, cut)) == Answer(None, told, cause.kind)
    assert place.attempts == 2


@pytest.mark.parametrize(("cause", "told"), CAUSES)
def test_an_attempt_that_hangs_beyond_the_deadline_does_not_hide_the_cause(
    place: Place, released: threading.Event, cause: VenueError, told: str
) -> None:
    assert place.answer(cause, hanging(place, released)) == Answer(None, told, cause.kind)


def test_the_last_of_several_causes_is_told(place: Place, released: threading.Event) -> None:
    given = place.answer(REFUSED, UnknownOutcome("HTTP 502"), hanging(place, released))
    assert given == Answer(None, "HTTP 502 (no answer in time)", "unknown_outcome")


def test_a_first_attempt_that_hangs_is_late_and_nothing_more(place: Place, released: threading.Event) -> None:
    assert place.answer(hanging(place, released)) == Answer(None, "no answer in time", "unknown_outcome")


def test_a_first_attempt_that_the_deadline_ends_tells_its_own_cause(place: Place) -> None:
    given = place.answer(at_the_deadline(place, TIMED_OUT))
    assert given == Answer(None, "GET /orders: no answer in time", "unknown_outcome")


def test_being_shut_out_is_told_even_at_the_deadline(place: Place) -> None:
    given = place.answer(REFUSED, at_the_deadline(place, Banned("this address is banned")))
    assert given == Answer(None, "this address is banned", "banned")


# How places are opened ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("timeout", "request_timeout"), [(60.0, 2.0), (5.0, 1.0), (0.5, 0.2)])
def test_one_request_takes_a_share_of_the_time_and_the_deadline_bounds_them_all(
    monkeypatch: pytest.MonkeyPatch, timeout: float, request_timeout: float
) -> None:
    opened: list[float] = []

    def open_venue(_entry: VenueEntry, *, request_timeout: float) -> Any:
        opened.append(request_timeout)
        return SimpleNamespace(http=SimpleNamespace(deadline=None))

    monkeypatch.setattr(reading, "open_venue", open_venue)
    given = read_venues([VenueEntry("main", "binance")], lambda venue: venue.http.deadline, timeout)
    assert isinstance(given["main"].value, Deadline)
    assert opened == [request_timeout]


def test_an_entry_that_cannot_be_used_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_KEY", "a-key")
    good = VenueEntry("good", "binance", api_key="env:T_KEY", api_secret="env:T_KEY")
    bad = good._replace(name="bad", driver="nowhere")
    unset = good._replace(name="unset", api_key="env:T_MISSING")
    given = read_venues([bad, good, unset], lambda venue: venue.driver, LONG_S)
    assert list(given) == ["bad", "good", "unset"]
    assert given["good"] == Answer("binance")
    assert [given[name].kind for name in ("bad", "unset")] == ["settings", "settings"]
