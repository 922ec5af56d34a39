"""What a start says, without the start."""

from __future__ import annotations

import errno
import socket

import pytest

from config import start


def test_a_host_that_the_system_has_no_sockets_for_is_told(monkeypatch, settings):
    """`::1` where the kernel knows no IPv6: the name is an address, and yet there is no socket."""
    settings.HOST, settings.PORT = "127.0.0.1", 8139

    def no_sockets(*_arguments):
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", no_sockets)

    with pytest.raises(start.CannotStart, match=r"PORT: 127\.0\.0\.1:8139 .*Address family"):
        start.bind()


def test_a_failure_that_is_not_of_the_folder_is_not_blamed_on_it():
    with pytest.raises(BrokenPipeError), start.or_say_why():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
