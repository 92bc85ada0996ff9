# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A mail server (RFC 5321) by aiosmtpd: STARTTLS where the sender wants it, a password always."""

from __future__ import annotations

import asyncio
import ssl
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from ..connections import reset
from .arrivals import Arrival, Arrivals
from .faults import SMTP_STATUS, Fault, Faults
from .server import A_LONG_TIME_S
from .service import Call, Reply

NAME = "smtp"
HOSTNAME = "mail.lab.example"
ACCEPTED = Reply(250, "OK")


class MailServer:
    """Calling it makes the protocol of one connection."""

    def __init__(self, user: str, password: str, tls: ssl.SSLContext, faults: Faults, arrivals: Arrivals) -> None:
        self._login = LoginPassword(user.encode(), password.encode())
        self._tls = tls
        self._faults = faults
        self._arrivals = arrivals

    def __call__(self) -> asyncio.Protocol:
        return SMTP(
            self,
            hostname=HOSTNAME,
            ident="ESMTP",
            enable_SMTPUTF8=True,
            tls_context=self._tls,
            auth_require_tls=False,
            authenticator=self._authenticate,
            loop=asyncio.get_running_loop(),
        )

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: object
    ) -> AuthResult:
        """Otherwise the server itself answers 535."""
        return AuthResult(success=login == self._login, handled=False)

    async def handle_MAIL(  # noqa: N802  # aiosmtpd finds it by the command
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # as above
        call = read(envelope)
        arrival = self._arrivals.add(NAME, call)
        fault = self._faults.take(NAME, call.op)
        if fault is None:
            arrival.tell(arrival.do(call))
            return "250 2.0.0 OK"
        arrival.fault = fault.kind
        if fault.works:
            arrival.do(call)
        return await self._spoil(server, fault, arrival)

    async def _spoil(self, server: SMTP, fault: Fault, arrival: Arrival) -> str:
        transport = server.transport
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
            arrival.tell(ACCEPTED)
            return "250 2.0.0 OK"
        if isinstance(transport, asyncio.Transport) and (fault.cut or fault.kind == "down"):
            reset(transport)
        if isinstance(transport, asyncio.Transport) and fault.kind == "half_reply":
            transport.write(b"25")
            transport.close()
        if fault.cut or fault.kind in ("down", "half_reply", "hang"):
            await asyncio.sleep(A_LONG_TIME_S)  # until the end of the connection ends this too
        arrival.tell(Reply(fault.status or SMTP_STATUS, ""))
        return f"{arrival.status} 4.3.0 Requested action aborted: error in processing"


def read(envelope: Envelope) -> Call:
    """The mail, by who shall get it; ``key`` is its Message-ID."""
    content = envelope.content if isinstance(envelope.content, bytes) else b""
    message = message_from_bytes(content, _class=EmailMessage, policy=default)
    part = message.get_body(("plain", "html"))
    body = {
        "from": envelope.mail_from,
        "to": list(envelope.rcpt_tos),
        "subject": str(message.get("Subject", "")),
        "headers": {name: str(value) for name, value in message.items()},
        "html": _text(message.get_body(("html",))),
    }
    return Call(
        op="message",
        work=lambda: ACCEPTED,
        target=",".join(envelope.rcpt_tos),
        text=_text(part),
        key=message.get("Message-ID"),
        body=body,
    )


def _text(part: object) -> str | None:
    return str(part.get_content()) if isinstance(part, EmailMessage) else None
