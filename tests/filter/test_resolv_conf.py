"""/etc/resolv.conf as glibc reads it: one bad line stops nobody, and a change is noticed."""

import asyncio
import os
from pathlib import Path

import pytest

from safelist.filter.dns_message import DnsAnswer, Status
from safelist.filter.resolv_conf import ResolvConf, nameservers
from safelist.filter.resolver import Resolver
from tests.filter.dns_server import nameserver

GOOD = (("192.0.2.53", 53),)


@pytest.mark.parametrize(
    "line",
    [
        b"nameserver fe80::1%absent0", b"nameserver localhost", b"nameserver 192.0.2.1,192.0.2.2", b"# f\xfcr uns",
        b"search .. -bad- \xff", b"nameserver", b"nameserver \0", b"options ndots:x edns0", b"\0" * 300,
        b" nameserver 192.0.2.9", b"nameserver 192.0.2.300", b"nameserverx 192.0.2.9", b";nameserver 192.0.2.9",
        b"nameserver \xff\xfe", b"sortlist x/y",
    ],
)  # fmt: skip
def test_a_bad_line_stops_no_good_one(line: bytes) -> None:
    assert nameservers(line + b"\nnameserver 192.0.2.53\n") == GOOD
    assert nameservers(b"nameserver\t192.0.2.53 # ours\n" + line) == GOOD
    assert nameservers(line) == (("127.0.0.1", 53),)


def test_the_first_three_count_each_once() -> None:
    hosts = ["2001:db8::1", "192.0.2.1", "192.0.2.1", "fe80::1%lo", "192.0.2.4"]
    text = "\r\n".join(f"nameserver {host}" for host in hosts).encode()
    assert nameservers(text) == (("2001:db8::1", 53), ("192.0.2.1", 53), ("fe80::1%lo", 53))
    assert nameservers(b"nameserver 192.0.2.53;old\nnameserver 192.0.2.54#x") == (*GOOD, ("192.0.2.54", 53))


def test_what_is_passed_over_is_said(caplog: pytest.LogCaptureFixture) -> None:
    nameservers(b"nameserver localhost\nnameserver 192.0.2.53")
    assert "nameserver 'localhost' is no IP address" in caplog.text
    nameservers(b"")
    assert "names no nameserver that can be used; 127.0.0.1 is asked" in caplog.text


def test_no_kind_of_file_stops_the_filter(tmp_path: Path) -> None:
    local = (("127.0.0.1", 53),)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "closed").write_text("nameserver 192.0.2.53")
    (tmp_path / "closed").chmod(0)
    for name in ("absent", "pipe", "loop", ".", "absent/below", "pipe/below"):
        assert ResolvConf(tmp_path / name).nameservers() == local, name
    assert ResolvConf(tmp_path / "closed").nameservers() == (GOOD if os.geteuid() == 0 else local)
    (tmp_path / "huge").write_bytes(b"nameserver 192.0.2.53\n" + b"x" * (3 << 20))
    assert ResolvConf(tmp_path / "huge").nameservers() == GOOD


def test_a_change_is_noticed_and_at_once_where_that_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.2")
    file = ResolvConf(path)
    assert file.nameservers() == (("127.0.0.2", 53),)
    path.write_text("nameserver 127.0.0.3")
    assert file.nameservers(again=True) == (("127.0.0.3", 53),)
    path.unlink()
    assert file.nameservers(again=True) == (("127.0.0.1", 53),)


def test_the_resolver_asks_whom_the_file_names_now(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.9\nnameserver localhost\n")

    async def main(port: int) -> tuple[DnsAnswer, DnsAnswer]:
        resolver = Resolver(resolv_conf=ResolvConf(path, port), timeout=2)
        try:
            before = await resolver.query("one.example")
            path.write_text("# moved\nsearch \nnameserver 127.0.0.1\n")
            async with asyncio.timeout(30):
                while (after := await resolver.query("two.example")).status is Status.FAILED:
                    await asyncio.sleep(0.05)
            return before, after
        finally:
            resolver.close()

    with nameserver({"one.example": {"A": ["192.0.2.1"]}, "two.example": {"A": ["192.0.2.2"]}}) as server:
        before, after = asyncio.run(main(server.address[1]))
    assert before.status is Status.FAILED
    assert after.values == ("192.0.2.2",)
