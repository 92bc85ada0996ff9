# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Asks the control API of a process of the lab."""

from __future__ import annotations

import http.client
import json
from typing import Any

from .errors import LabError

CONTROL_TIMEOUT_S = 5.0


def ask(who: str, port: int, method: str, path: str, body: object = None) -> Any:
    """The JSON that ``who`` answers on 127.0.0.1:``port``. Raises LabError, naming them."""
    text = None if body is None else json.dumps(body)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CONTROL_TIMEOUT_S)
    try:
        connection.request(method, path, body=text)
        response = connection.getresponse()
        document = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LabError(f"{who} gives no answer to its controls: {error}") from None
    finally:
        connection.close()
    if response.status >= 400:
        raise LabError(f"{who}: {document['error']['message']}")
    return document
