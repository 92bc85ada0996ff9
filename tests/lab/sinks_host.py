# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's message sinks as a real process, for tests, and the libraries that send to them."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apprise
import pytest
import requests
from slack_sdk import WebClient

from hft_incident.lab.lifeline import identify
from hft_incident.lab.sink_handle import LabSinks
from hft_incident.lab.sink_keys import SinkKeys
from hft_incident.lab.state import SinkProcess

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY")


class Sinks(NamedTuple):
    """A running process: its controls, and the keys that it takes."""

    lab: LabSinks
    keys: SinkKeys
    process: subprocess.Popen[bytes]

    def slack(self, token: str | None = None) -> WebClient:
        """slack_sdk as on a jumphost: through the proxy, trusting the lab's authority. It retries nothing."""
        trust = ssl.create_default_context(cafile=str(self.lab.ca_file))
        token = self.keys.slack_token if token is None else token
        return WebClient(token, proxy=self.lab.proxy, ssl=trust, timeout=5, retry_handlers=[])

    def ask(self, method: str, url: str, **options: Any) -> requests.Response:
        """Straight through the proxy."""
        return ask(self.lab.proxy, str(self.lab.ca_file), method, url, **options)


@contextmanager
def running_sinks(folder: Path) -> Iterator[Sinks]:
    """New keys, certificate and process in ``folder``."""
    keys, keys_file, ca_file = SinkKeys.make(), folder / "sinks.json", folder / "sinks-ca.pem"
    keys.write(keys_file)
    process = subprocess.Popen(
        [sys.executable, "-m", "hft_incident.lab.sinks", "--keys", str(keys_file), "--ca-file", str(ca_file)],
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    with process:
        try:
            assert process.stdout is not None
            report = json.loads(process.stdout.readline())
            identity = identify(process.pid)
            assert identity is not None
            ports = (report[f"{name}_port"] for name in ("proxy", "webhook", "smtp", "control"))
            yield Sinks(LabSinks(SinkProcess("sinks", identity, *ports), ca_file), keys, process)
        finally:
            process.terminate()


def ask(proxy: str, ca_file: str, method: str, url: str, **options: Any) -> requests.Response:
    """By requests through this proxy."""
    way: dict[str, Any] = {"proxies": {"https": proxy}, "verify": ca_file, "timeout": 5}
    return requests.request(method, url, **way | options)  # noqa: S113  # the timeout is among them


def behind_the_proxy(sinks: LabSinks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure libraries of this process as a jumphost does."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", sinks.proxy)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(sinks.ca_file))
    monkeypatch.setenv("SSL_CERT_FILE", str(sinks.ca_file))


def send(url: str, text: str, title: str = "", *, body_format: str = "text") -> bool:
    """By apprise, whether it says that it was sent; a new sender each time, which waits for no earlier one."""
    sender = apprise.Apprise()
    assert sender.add(url)
    return bool(sender.notify(body=text, title=title, body_format=apprise.NotifyFormat(body_format)))
