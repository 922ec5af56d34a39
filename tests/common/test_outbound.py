"""Section 4 of SECURITY: where outbound connections may go, and what they carry."""

import asyncio
import socket
import ssl
import threading
from ipaddress import ip_address

import aiohttp
import pytest

from common import outbound
from common.errors import Invalid
from common.outbound import ForbiddenAddress, check_header_value, check_url, guarded_session
from common.reachable import may_reach
from tests.common.listeners import Listener, self_signed

# What names, forms and tricks lead to.
CLOSED_TO_OTHERS = [
    "127.0.0.1",
    "127.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "::ffff:7f00:1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::10.0.0.1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
]
CLOSED_TO_ALL = [
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "100.100.100.200",
    "192.0.0.192",
    "192.0.0.8",
    "192.0.2.1",
    "168.63.129.16",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "240.0.0.1",
    "::",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "2001:db8::1",
    "2001::1",
    "3fff::1",
    "5f00::1",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
    "::169.254.169.254",
    "nonsense",
    "",
]
OPEN_TO_ALL = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.row("O3")
@pytest.mark.parametrize("address", CLOSED_TO_OTHERS)
def test_private_addresses_are_for_staff(address):
    assert not may_reach(address, allow_private=False)
    assert may_reach(address, allow_private=True)


@pytest.mark.row("O3", "O4")
@pytest.mark.parametrize("address", CLOSED_TO_ALL)
def test_some_addresses_are_for_nobody(address):
    assert not may_reach(address, allow_private=False)
    assert not may_reach(address, allow_private=True)


@pytest.mark.parametrize("address", OPEN_TO_ALL)
def test_the_rest_is_open(address):
    assert may_reach(address, allow_private=False)
    assert may_reach(ip_address(address), allow_private=True)


def test_a_scope_does_not_hide_an_address():
    assert not may_reach("fe80::1%eth0", allow_private=True)


class TestAtSave:
    @pytest.mark.row("O5")
    @pytest.mark.parametrize(
        "url",
        [
            "file:///etc/passwd",
            "ftp://8.8.8.8/",
            "//8.8.8.8/",
            "https://",
            "https:///v1",
            "https://user@8.8.8.8/",
            "https://user:pass@8.8.8.8/",
            "https://8.8.8.8/#x",
            "https://8.8.8.8/?x",
            "https://8.8.8.8:0/",
            "https://8.8.8.8:25/",
            "https://8.8.8.8:1023/",
            "https://8.8.8.8:65536/",
            "https://8.8.8.8:x/",
            "https://[::1%25lo]/",
            "https://[8.8.8.8/",
            "https://8.8.8.8/\r\nHost: x",
            "https://8.8.8.8/\x00",
            "https://8.8.8.8\\@127.0.0.1/",
            "https://8.8.8.8/a b",
            "https://8.8.8.8/../..",
            "https://8.8.8.8/v1/%2E%2e/x",
            "https://8.8.8.8/./v1",
            "https://8.8.8.8/v1/%zz",
            "https://8.8.8.8/v1/%00",
            "https://8.8.8.8/v1%0d%0aHost:x",
            "https://8.8.8.8/v1//x",
            "https://8.8.8.8/v1;('*')",
            "https://8.8.8.8:",
            "https://8.8.8.8:/v1",
            "https://-8.8.8.8/",
            "https://a..b/",
            "https://[8.8.8.8]/",
            "\thttps://8.8.8.8/",
            "https://exämple.org/",
            "https://8.8.8.8/" + "x" * 500,
            "",
        ],
    )
    def test_what_is_no_plain_web_address_is_refused_to_all(self, url):
        for staff in (False, True):
            with pytest.raises(Invalid):
                check_url(url, staff=staff)

    @pytest.mark.parametrize(
        "path",
        ["", "/", "/v1", "/v1/", "/a~b_c.d-e/x:y@z/k=1,2+3", "/caf%C3%A9%20x/v1", "/.well/..x"],
    )
    def test_paths_that_are_allowed(self, path):
        check_url(f"https://8.8.8.8{path}", staff=False)

    @pytest.mark.row("O5")
    @pytest.mark.parametrize("port", ["", ":80", ":443", ":1024", ":11434", ":65535"])
    def test_ports_that_are_allowed(self, port):
        check_url(f"https://8.8.8.8{port}/v1", staff=False)

    @pytest.mark.row("O5")
    def test_plain_http_is_for_staff(self, settings):
        with pytest.raises(Invalid):
            check_url("http://8.8.8.8/", staff=False)
        check_url("http://8.8.8.8/", staff=True)
        settings.ALLOW_PRIVATE_UPSTREAMS = True
        check_url("http://127.0.0.1:11434/v1", staff=False)

    @pytest.mark.row("O3")
    def test_every_address_of_a_name_must_pass(self, monkeypatch):
        monkeypatch.setattr(
            socket, "getaddrinfo", _resolving({"two.test": ["8.8.8.8", "10.0.0.1"]})
        )

        with pytest.raises(Invalid):
            check_url("https://two.test/", staff=False)

    def test_a_name_that_resolves_to_nothing_or_not_in_time_is_refused(self, monkeypatch):
        monkeypatch.setattr(outbound, "_RESOLVE_SECONDS", 0.05)
        over = threading.Event()
        with pytest.raises(Invalid):
            check_url("https://nowhere.invalid/", staff=False)

        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(5))
        try:
            with pytest.raises(Invalid):
                check_url("https://slow.test/", staff=False)
        finally:
            over.set()

    def test_the_form_alone_can_be_checked(self, monkeypatch):
        monkeypatch.setattr(socket, "getaddrinfo", None)

        check_url("https://example.org/v1", staff=False, resolve=False)

    @pytest.mark.row("O5")
    @pytest.mark.parametrize("value", ["", "a b", "a\r\nX: y", "a\0", "ä"])
    def test_what_would_break_a_header_is_refused(self, value):
        with pytest.raises(Invalid):
            check_header_value(value, field="api_key")


class TestAtConnect:
    @pytest.mark.row("O2")
    async def test_a_literal_address_is_judged(self, listener):
        """O2: a custom resolver alone would not be asked for it."""
        with pytest.raises(aiohttp.ClientConnectorError) as failure:
            await _get(f"http://127.0.0.1:{listener.port}/", allow_private=False)

        assert isinstance(failure.value.os_error, ForbiddenAddress)
        assert listener.requests == []

    @pytest.mark.row("O2")
    async def test_a_name_is_judged_by_what_it_resolves_to_now(self, listener, monkeypatch):
        """O2: public when it was saved, loopback when it is used."""
        answers = {"rebind.test": ["8.8.8.8"]}
        monkeypatch.setattr(socket, "getaddrinfo", _resolving(answers))
        check_url(f"https://rebind.test:{listener.port}/", staff=False)
        answers["rebind.test"] = ["127.0.0.1"]

        with pytest.raises(aiohttp.ClientConnectorError):
            await _get(f"http://rebind.test:{listener.port}/", allow_private=False)

        assert listener.requests == []

    @pytest.mark.row("O3")
    async def test_one_bad_address_spoils_a_name(self, listener, monkeypatch):
        monkeypatch.setattr(
            socket, "getaddrinfo", _resolving({"two.test": ["127.0.0.1", "169.254.169.254"]})
        )

        with pytest.raises(aiohttp.ClientConnectorError):
            await _get(f"http://two.test:{listener.port}/", allow_private=True)

        assert listener.requests == []

    @pytest.mark.row("O4")
    async def test_metadata_stays_closed_to_staff(self):
        with pytest.raises(aiohttp.ClientConnectorError):
            await _get("http://169.254.169.254/latest/meta-data/", allow_private=True)

    async def test_what_is_allowed_arrives(self, listener):
        assert await _get(f"http://127.0.0.1:{listener.port}/", allow_private=True) == 200
        assert await _get(f"http://localhost:{listener.port}/", allow_private=True) == 200

    @pytest.mark.row("O7")
    async def test_proxies_netrc_and_cookies_are_off(self, listener, monkeypatch, tmp_path):
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login a password b")
        monkeypatch.setenv("NETRC", str(netrc))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        listener.cookie = "a=b"
        url = f"http://127.0.0.1:{listener.port}/"

        async with guarded_session(allow_private=True) as session:
            for _ in range(2):
                async with session.get(url) as response:
                    assert response.status == 200

        for headers in listener.requests:
            assert not {"authorization", "cookie", "proxy-authorization"} & headers.keys()


class TestEncryption:
    """O11: verification is always on; authorities can be added, none removed."""

    @pytest.mark.row("O11")
    async def test_a_self_signed_server_is_refused(self, tls_listener, settings):
        settings.UPSTREAM_CA_FILE = ""

        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await _get(f"https://localhost:{tls_listener.port}/", allow_private=True)

    @pytest.mark.row("O11")
    async def test_an_authority_of_the_deployment_is_believed(self, tls_listener, settings):
        settings.UPSTREAM_CA_FILE = str(tls_listener.certificate)

        assert await _get(f"https://localhost:{tls_listener.port}/", allow_private=True) == 200

    @pytest.mark.row("O11")
    def test_the_usual_authorities_stay(self, tls_listener, settings):
        settings.UPSTREAM_CA_FILE = ""
        usual = outbound.tls_context().cert_store_stats()["x509_ca"]
        settings.UPSTREAM_CA_FILE = str(tls_listener.certificate)

        context = outbound.tls_context()

        assert context.cert_store_stats()["x509_ca"] >= usual > 50
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


async def _get(url, *, allow_private):
    async with (
        asyncio.timeout(10),
        guarded_session(allow_private=allow_private) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        return response.status


def _resolving(answers):
    """getaddrinfo for these names; the real one for others."""
    real = socket.getaddrinfo

    def resolve(host, port, *args, **kwargs):
        if host not in answers:
            return real(host, port, *args, **kwargs)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in answers[host]
        ]

    return resolve


@pytest.fixture
def listener():
    made = Listener()
    yield made
    made.close()


@pytest.fixture
def tls_listener(tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    self_signed(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    made = Listener(context)
    made.certificate = certificate
    yield made
    made.close()
