# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What may enter the record: JSON-able values with secrets taken out by field name.

Redaction goes by field, not by guessing at values, so that what is useful stays: ``token: abc`` becomes ``***``,
``token_count: 3`` does not. A reference (``env:``, ``file:``, ``cmd:``) says where a secret is and stays.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from .secret_ref import is_reference

MASK = "***"

# A field is secret when its last word, or its last two, are listed: `api_secret`, `OK-ACCESS-SIGN`, `botToken`.
_SECRET_WORDS = frozenset(
    (
        *("apikey", "apisecret", "authent", "authorization", "cookie", "credential", "credentials", "passphrase"),
        *("passwd", "password", "passwords", "privatekey", "pwd", "secret", "secrets", "signature", "token", "tokens"),
    )
)
_SECRET_PAIRS = frozenset(
    f"{first}_{last}"
    for first, last in (
        *((word, "key") for word in ("access", "api", "encryption", "private", "secret", "signing")),
        *((word, "keys") for word in ("api", "private", "secret", "signing")),
        *((word, "sign") for word in ("access", "api", "bapi")),
    )
)
_WORD_BREAK = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")

# The same fields inside a sentence: `…&signature=ab12`, `"token": "ab12"`, `OK-ACCESS-SIGN: ab12`. A name is tried only
# where a word begins, which keeps a page of nonsense from a venue linear.
_FIELD_IN_TEXT = re.compile(r"""(?<![\w-])(?P<name>[\w-]+)(?P<sep>=|["']\s*[:=]\s*["']|:\s?)""")
_VALUE_IN_TEXT = re.compile(r"""[^\s&,;"'}\]]+""")
_SCHEME_AND_VALUE = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{6,}")
_USER_INFO = re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]+(?=@)")  # https://me:password@host


def is_secret_field(name: str) -> bool:
    """Whether a field of this name holds a secret; any case, ``snake_case``, ``Header-Case`` or ``camelCase``."""
    words = [word.lower() for word in _WORD_BREAK.split(name) if word]
    return bool(words) and (words[-1] in _SECRET_WORDS or "_".join(words[-2:]) in _SECRET_PAIRS)


def scrub_text(text: str) -> str:
    """``text`` with the values of secret fields named in it masked."""
    text = _USER_INFO.sub(MASK, _SCHEME_AND_VALUE.sub(rf"\1 {MASK}", text))
    parts, kept = [], 0
    for field in _FIELD_IN_TEXT.finditer(text):
        value = _VALUE_IN_TEXT.match(text, field.end())
        if value and field.start() >= kept and _is_leak(field["name"], field["sep"], value[0]):
            parts += [text[kept : field.end()], MASK]
            kept = value.end()
    return "".join(parts) + text[kept:]


def recordable(value: Any, where: str = "data") -> Any:
    """``value`` as plain JSON types, with secrets masked; the argument is left as it is.

    Decimal becomes a string, an aware datetime ISO-8601 UTC, a NamedTuple an object, a float that JSON cannot say
    (``nan``, ``inf``) a string. Raises TypeError naming the place for anything else.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        # Ansible and enumerations hand out subclasses; a lone surrogate (a file name) has no UTF-8.
        return scrub_text(str.__str__(value).encode("utf-8", "backslashreplace").decode("utf-8"))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError(f"{where}: a time without a zone cannot be recorded")
        return iso_utc(value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: _field(key, item, where) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [recordable(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise TypeError(f"{where}: a {type(value).__name__} cannot be recorded")


def iso_utc(moment: datetime) -> str:
    """An aware datetime as ``2026-11-23T10:00:00.000000Z``."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _field(key: Any, value: Any, where: str) -> Any:
    if not isinstance(key, str):
        raise TypeError(f"{where}: a field name must be text, not {type(key).__name__}")
    place = f"{where}.{key}"
    return _mask(value) if is_secret_field(key) else recordable(value, place)


def _mask(value: Any) -> Any:
    """Everything below a secret field, but for what says only whether there is one."""
    if value is None or isinstance(value, bool) or value == "":
        return value
    if isinstance(value, str) and is_reference(value):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return {str(key): _mask(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mask(item) for item in value]
    return MASK


def _is_leak(name: str, separator: str, value: str) -> bool:
    if not is_secret_field(name) or is_reference(value):
        return False
    # After a bare colon may stand a plain word ("token: expired"), which tells more than it leaks.
    return not separator.startswith(":") or len(value) >= 16 or any(map(str.isdigit, value))
