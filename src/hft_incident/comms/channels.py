# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Sending a message through a channel of the site: one of a hundred services behind an apprise URL, or the status page.

What a service answers decides whether it may be sent again: a plain refusal did not arrive, everything else (no answer,
half an answer, a server's error) may have. Where the service itself can tell a message that it has already (PagerDuty's
``dedup_key``, a webhook's ``Idempotency-Key``, the status page), it gets the means to.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.redaction import scrub_text
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import SecretError, resolve

from .policy import STATUS_PAGE, Site
from .wording import TEXT_LIMIT, Message

_STATUS = re.compile(r"error=(\d{3})")
#: A part of a URL that is shorter is no secret, and would take words out of a sentence.
_SECRET_LENGTH = 6
REPEATED = "\n(Sent again: it is not known whether it arrived the first time.)"


class DeliveryError(Exception):
    """It was not delivered, in one line without secrets. ``doubtful``: or it was, and nobody can tell."""

    def __init__(self, message: str, *, doubtful: bool) -> None:
        super().__init__(message)
        self.doubtful = doubtful


def is_configured(site: Site, channel: str) -> bool:
    return site.status_page is not None if channel == STATUS_PAGE else channel in site.channels


def take_way_out(site: Site) -> None:
    """From here on whatever in this process speaks HTTP goes out by the site's proxy and trusts its authority."""
    proxy = {name: site.proxy for name in ("HTTPS_PROXY", "HTTP_PROXY") if site.proxy}
    trust = {name: site.ca_file for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE") if site.ca_file}
    here = ",".join(filter(None, ["127.0.0.1,localhost,::1", os.environ.get("NO_PROXY", "")]))
    os.environ.update({**proxy, **trust, **({"NO_PROXY": here} if proxy else {})})


def services(site: Site, channel: str) -> Iterator[tuple[str, Any]]:
    """Each URL of an apprise channel, resolved, and what would deliver to it; nothing is sent. Raises DeliveryError."""
    import apprise

    for number, reference in enumerate(site.channels[channel], 1):
        try:
            url = resolve(reference, f"channel {channel}, URL {number}").reveal()
        except SecretError as error:
            raise DeliveryError(str(error), doubtful=False) from None
        service = apprise.Apprise.instantiate(url, asset=_asset(), suppress_exceptions=True)
        if service is None:
            raise DeliveryError(f"channel {channel}, URL {number}: not an apprise URL", doubtful=False)
        yield url, service


def send(site: Site, channel: str, message: Message, *, again: bool) -> None:
    """Delivers it to every URL of an apprise channel. ``again``: an earlier attempt may have arrived.

    Raises DeliveryError. Where a channel has several URLs and one fails, the whole is tried again.
    """
    import apprise  # a tenth of a second, which only who sends has to spend

    sender, secrets, repeated, limit = apprise.Apprise(asset=_asset()), [], "", TEXT_LIMIT
    for url, service in services(site, channel):
        kind = service.__class__.__name__
        secrets.append(url)
        limit = min(limit, _LIMITS.get(kind, limit))
        if not _KNOWS_REPEATS.get(kind, _no_key)(service, message) and again:
            repeated = REPEATED
        sender.add(service)
    with _Complaints(secrets) as complaints:
        ok = sender.notify(
            title=message.subject,
            body=fitting(message, limit - len(repeated)) + repeated,
            body_format=apprise.NotifyFormat.TEXT,
            notify_type=_TYPES.get(message.kind, apprise.NotifyType.WARNING),
        )
    if not ok:
        raise complaints.error()


def fitting(message: Message, limit: int) -> str:
    """As much of the text as fits with the subject, which services put before it, into so many characters."""
    room = limit - len(message.subject) - len("\r\n")
    return message.text if len(message.text) <= room else f"{message.text[: room - 1]}…"


def _asset() -> Any:
    import apprise

    return apprise.AppriseAsset(app_id="hft-incident", app_desc="", image_url_mask=None)


def _no_key(_service: Any, _message: Message) -> bool:
    return False


def _pagerduty(service: Any, message: Message) -> bool:
    """One alert an incident and service: what follows is added to it, and the end of the incident ends it."""
    service.dedup = message.incident
    if message.kind == "resolved":
        service.action = "resolve"
    return True


def _idempotent(service: Any, message: Message) -> bool:
    service.headers["Idempotency-Key"] = f"{message.incident}/{message.id}"
    return True


#: By class of apprise: tells the service which message this is; whether it then knows one that it has already.
_KNOWS_REPEATS: Mapping[str, Callable[[Any, Message], bool]] = {
    "NotifyPagerDuty": _pagerduty,
    "NotifyJSON": _idempotent,
    "NotifyXML": _idempotent,
    "NotifyForm": _idempotent,
}
#: What a service refuses to take if it is longer: it cuts nothing itself, and a page that is refused pages nobody.
_LIMITS: Mapping[str, int] = {"NotifyPagerDuty": 1024, "NotifyTwilio": 1600}
_TYPES: Mapping[str, str] = {"resolved": "success", "restored": "success", "contained": "info", "update": "info"}


class _Complaints(logging.Handler):
    """What apprise says of a failure, which it tells its log alone."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._secrets = {part for url in secrets for part in [url, *re.split(r"[/:@?&=]+", url)]}
        self._lines: list[str] = []
        self._log = logging.getLogger("apprise")

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())

    def __enter__(self) -> _Complaints:
        self._log.addHandler(self)
        self._propagates, self._log.propagate = self._log.propagate, False
        return self

    def __exit__(self, *_exception: object) -> None:
        self._log.removeHandler(self)
        self._log.propagate = self._propagates

    def error(self) -> DeliveryError:
        text = " ".join((self._lines[-1] if self._lines else "the service did not take it").split())
        for secret in sorted(self._secrets, key=len, reverse=True):
            if len(secret) >= _SECRET_LENGTH:
                text = text.replace(secret, "***")
        found = _STATUS.search(text)
        refused = found is not None and found[1].startswith("4")
        return DeliveryError(scrub_text(text)[:300], doubtful=not refused)
