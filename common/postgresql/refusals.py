"""Why PostgreSQL turns a connection away.

psycopg hands on a text, in whatever language the server speaks. The state that comes with it
passes by in libpq's trace alone.
"""

from __future__ import annotations

import os
import re
import selectors
import sys
import time
from collections.abc import Mapping
from typing import Any

from psycopg import pq
from psycopg.conninfo import make_conninfo

WRONG_PASSWORD = "28P01"  # noqa: S105 a state
_STATE = re.compile(rb'(?m)^B\t\d+\tErrorResponse\t.*? C "([0-9A-Z]{5})"')
_EVENTS = {
    pq.PollingStatus.READING: selectors.EVENT_READ,
    pq.PollingStatus.WRITING: selectors.EVENT_WRITE,
}


def refused_with(parameters: Mapping[str, Any], *, seconds: float) -> str:
    """The SQLSTATE with which the server refuses to connect.

    "" where there is none: it lets us in, or is away, or silent for `seconds`; where one of
    several hosts may still come; and wherever psycopg has no trace, which is everywhere but on
    Linux.
    """
    if sys.platform != "linux" or "," in str(parameters.get("host", "")):
        return ""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    asked = {name: value for name, value in parameters.items() if name in known}
    connection = pq.PGconn.connect_start(make_conninfo("", **asked).encode())
    try:
        # In memory, and gone with this function: it holds what proves the password.
        with os.fdopen(os.memfd_create("trace"), "rb") as trace:
            connection.trace(trace.fileno())
            connection.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
            _connect(connection, deadline=time.monotonic() + seconds)
            connection.untrace()
            trace.seek(0)
            states = _STATE.findall(trace.read())
        if connection.status == pq.ConnStatus.OK:
            return ""  # one of two ways in was refused, and the other one was not
        if connection.needs_password:
            return WRONG_PASSWORD  # asked for one we have not, libpq does not wait to be refused
    finally:
        connection.finish()
    return states[-1].decode() if states else ""


def _connect(connection: pq.abc.PGconn, *, deadline: float) -> None:
    while (event := _EVENTS.get(pq.PollingStatus(connection.connect_poll()))) is not None:
        with selectors.DefaultSelector() as selector:
            selector.register(connection.socket, event)
            if not selector.select(max(0, deadline - time.monotonic())):
                return
