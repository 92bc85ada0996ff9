# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the lab's ``systemctl`` and ``journalctl`` run: ``PORT COMMAND WORD…`` → the lab's service manager.

A script, not a module of the lab: it starts in a few milliseconds because it imports nothing but sockets.
"""

from __future__ import annotations

import os
import socket
import sys


def main(port: str, words: list[str]) -> int:
    try:
        with socket.create_connection(("127.0.0.1", int(port))) as connection:
            connection.sendall(b"".join(os.fsencode(word) + b"\0" for word in words))
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError as error:
        print(f"Failed to connect to bus: {error.strerror}", file=sys.stderr)
        return 1
    head, newline, rest = answer.partition(b"\n")
    if not newline:
        print("Connection to the lab's service manager was lost", file=sys.stderr)
        return 1
    code, length = map(int, head.split())
    sys.stdout.buffer.write(rest[:length])
    sys.stdout.buffer.flush()
    sys.stderr.buffer.write(rest[length:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
