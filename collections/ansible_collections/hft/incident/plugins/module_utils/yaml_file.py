# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Reading a YAML file of the site's, with one line for the person who wrote it where that cannot be done."""

from __future__ import annotations

from typing import Any

from .errors import UsageError


def read(path: str, fault: type[UsageError] = UsageError) -> Any:
    """The document in the file. Raises ``fault`` that names the file and what is wrong with it."""
    return _read(path, fault, "load")


def check(path: str) -> None:
    """Whether it is YAML at all, tags and other things that only Ansible understands included; raises UsageError as
    ``read``."""
    _read(path, UsageError, "compose")


def _read(path: str, fault: type[UsageError], how: str) -> Any:
    import yaml  # on the control node; a host that runs a module need not have it

    # The C parser is ten times as fast; wheels for every common platform have it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        with open(path, "rb") as file:
            return getattr(yaml, how)(file, Loader=loader)
    except OSError as error:
        raise fault(f"cannot read {path}: {(error.strerror or 'error').lower()}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise fault(f"{path} is not valid YAML{where}") from None
    except ValueError:
        raise fault(f"{path} is not readable text") from None
