"""The collector against exchangelib's natural way, in one interleaved run: CPU, wall time, faults, memory.

    python benchmarks/collector.py [--quick]

A canned EWS server (a process of its own, on another core where there is one) answers every call with 20 KB, so that
nothing but the client is measured. The natural way is ``account.inbox.filter(...)`` of exchangelib.
"""

import argparse
import asyncio
import base64
import contextlib
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

CONDITION = bytes(range(256)) * 60  # 20,480 characters of base64
LATENCY = 0.05
FAULT_EVERY = 100
ACCOUNT, SECRET = "svc-safelist@corp.example", "benchmark"

_S = "http://schemas.xmlsoap.org/soap/envelope/"
_M = "http://schemas.microsoft.com/exchange/services/2006/messages"
_T = "http://schemas.microsoft.com/exchange/services/2006/types"
_ITEM_ID = base64.b64encode(b"\x00\x03\x24\x007e616754-278d-49bb-805a-0f7864fe3dc5" + bytes(range(70))).decode()


def _property(tag: str, kind: str, value: str) -> str:
    uri = f'<t:ExtendedFieldURI PropertyTag="{tag}" PropertyType="{kind}"/>'
    return f"<t:ExtendedProperty>{uri}<t:Value>{value}</t:Value></t:ExtendedProperty>"


def _answer(operation: str, content: str) -> bytes:
    body = (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{_S}" xmlns:m="{_M}" xmlns:t="{_T}"><s:Header>'
        '<t:ServerVersionInfo MajorVersion="15" MinorVersion="1" MajorBuildNumber="2507" MinorBuildNumber="27" '
        'Version="V2017_07_11"/></s:Header><s:Body>'
        f"<m:{operation}Response><m:ResponseMessages><m:{operation}ResponseMessage "
        f'ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>{content}</m:{operation}ResponseMessage>'
        f"</m:ResponseMessages></m:{operation}Response></s:Body></s:Envelope>"
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _folder(name: str) -> bytes:
    ids = f'<t:FolderId Id="{name}" ChangeKey="c"/><t:ParentFolderId Id="parent" ChangeKey="c"/>'
    counts = "<t:TotalCount>0</t:TotalCount><t:ChildFolderCount>1</t:ChildFolderCount><t:UnreadCount>0</t:UnreadCount>"
    inside = f"{ids}<t:FolderClass>IPF.Note</t:FolderClass><t:DisplayName>{name}</t:DisplayName>{counts}"
    return _answer("GetFolder", f"<m:Folders><t:Folder>{inside}</t:Folder></m:Folders>")


_IDENTITY = f'<t:ItemId Id="{_ITEM_ID}" ChangeKey="CQAAABYAAAA="/>'
_FOUND = f"<t:Message>{_IDENTITY}<t:LastModifiedTime>2026-01-05T08:00:00Z</t:LastModifiedTime>"
_FOUND += f"{_property('0x65eb', 'String', 'JunkEmailRule')}</t:Message>"
_GOT = f"<t:Message>{_IDENTITY}{_property('0x65eb', 'String', 'JunkEmailRule')}"
_GOT += _property("0xe9a", "Binary", base64.b64encode(CONDITION).decode())
_GOT += f"{_property('0x65e9', 'Integer', '49')}{_property('0x6100', 'Integer', '0')}</t:Message>"
_PAGING = 'IndexedPagingOffset="1" TotalItemsInView="1" IncludesLastItemInRange="true"'
ANSWERS = {
    b"FindItem": _answer("FindItem", f"<m:RootFolder {_PAGING}><t:Items>{_FOUND}</t:Items></m:RootFolder>"),
    b"GetItem": _answer("GetItem", f"<m:Items>{_GOT}</m:Items>"),
    b'Id="inbox"': _folder("inbox"),
    b"GetFolder": _folder("root"),
}
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class _Canned(asyncio.Protocol):
    """HTTP/1.1 keep-alive, one request at a time; every ``fault_every``-th request of the server meets a 503."""

    asked = 0

    def __init__(self, latency: float, fault_every: int) -> None:
        self.latency = latency
        self.fault_every = fault_every
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if not end or len(body) < length:
            return
        self.buffer = b""
        _Canned.asked += 1
        is_fault = self.fault_every and _Canned.asked % self.fault_every == 0
        answer = BUSY if is_fault else next(a for word, a in ANSWERS.items() if word in body)
        if self.latency:
            asyncio.get_running_loop().call_later(self.latency, self._send, answer)
        else:
            self._send(answer)

    def _send(self, answer: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        if not self.transport.is_closing():
            self.transport.write(answer)


async def _serve(latency: float, fault_every: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Canned(latency, fault_every), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def canned(latency: float = 0.0, fault_every: int = 0) -> Iterator[str]:
    """The URL of a canned server that runs in a process of its own."""
    command = [sys.executable, __file__, "--serve", str(latency), str(fault_every)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/EWS/Exchange.asmx"
        finally:
            process.terminate()


def _pin(core: int) -> None:
    if (os.cpu_count() or 1) > 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def ours(url: str) -> Callable[[str], object]:
    """One mailbox by the collector's way; to be called by any thread."""
    from safelist.collector.sources.ews.exchange import ExchangeServer
    from safelist.collector.sources.ews.soap import Rule
    from safelist.config import Exchange as Settings

    settings = Settings.model_validate(
        {"endpoint": url, "authentication": "basic", "username": ACCOUNT, "secret": SECRET}
    )
    exchange = ExchangeServer(settings, SECRET)

    def fetch(address: str) -> int:
        rule = exchange.fetch(address, None)
        assert isinstance(rule, Rule)
        assert rule.condition == CONDITION
        return rule.duplicates

    return fetch


def natural(url: str) -> Callable[[str], object]:
    """One mailbox by exchangelib's query set."""
    from exchangelib import BASIC, IMPERSONATION, Account, Build, Configuration, Credentials, ExtendedProperty, Message
    from exchangelib import Version as ServerVersion
    from exchangelib.items import ASSOCIATED

    class Provider(ExtendedProperty):  # type: ignore[misc] # exchangelib has no types
        property_tag, property_type = 0x65EB, "String"

    class Condition(ExtendedProperty):  # type: ignore[misc]
        property_tag, property_type = 0x0E9A, "Binary"

    Message.register("rule_provider", Provider)
    Message.register("rule_condition", Condition)
    config = Configuration(
        credentials=Credentials(ACCOUNT, SECRET),
        service_endpoint=url,
        auth_type=BASIC,
        version=ServerVersion(Build(15, 1, 2507, 27)),
    )

    def fetch(address: str) -> int:
        account = Account(address, config=config, autodiscover=False, access_type=IMPERSONATION)
        rules = account.inbox.filter(item_class="IPM.ExtendedRule.Message").only("rule_provider", "rule_condition")
        found = [rule for rule in rules.depth(ASSOCIATED) if rule.rule_provider == "JunkEmailRule"]
        assert found[0].rule_condition == CONDITION
        return len(found)

    return fetch


class _Cost(NamedTuple):
    cpu: float
    wall: float


def _cost(fetch: Callable[[str], object], count: int) -> _Cost:
    """Seconds for one mailbox."""
    cpu, wall = time.process_time(), time.perf_counter()
    for number in range(count):
        fetch(f"user{number}@corp.example")
    return _Cost((time.process_time() - cpu) / count, (time.perf_counter() - wall) / count)


def cpu_table(rounds: int, count: int) -> None:
    """CPU of one mailbox, both ways in turns."""
    with canned() as url:
        ways = {"natural": natural(url), "safelist": ours(url)}
        for fetch in ways.values():
            _cost(fetch, 20)
        costs = [{name: _cost(fetch, count) for name, fetch in ways.items()} for _ in range(rounds)]
    print(f"\nCPU per mailbox, 20 KB answers, no latency, one thread; {rounds} rounds of {count} mailboxes each way")
    print(f"{'way':10} {'cpu ms':>8} {'min':>7} {'max':>7} {'wall ms':>8}")
    for name in ways:
        cpu = [round_[name].cpu * 1e3 for round_ in costs]
        wall = statistics.median(round_[name].wall * 1e3 for round_ in costs)
        print(f"{name:10} {statistics.median(cpu):8.2f} {min(cpu):7.2f} {max(cpu):7.2f} {wall:8.2f}")
    ratios = [round_["natural"].cpu / round_["safelist"].cpu for round_ in costs]
    worst = min(ratios)
    print(
        f"ratio      1/{statistics.median(ratios):.1f}, worst round 1/{worst:.1f}   (goal: 1/8) {_verdict(worst >= 8)}"
    )


def _run(fetch: Callable[[str], object], count: int, workers: int) -> float:
    """Seconds for all, by that many threads."""
    from safelist.collector.workers import answers

    start = time.perf_counter()
    done = sum(1 for _ in answers(fetch, (f"user{n}@corp.example" for n in range(count)), workers))
    assert done == count
    return time.perf_counter() - start


def wall_table(rounds: int, seconds: float) -> None:
    """Wall time against the ideal, with and without transient faults."""
    print(
        f"\nWall time at {LATENCY * 1e3:.0f} ms latency, median of {rounds} rounds; "
        "ideal = mailboxes * 2 * latency / workers"
    )
    print("workers mailboxes  ideal s  wall s  ratio  1 % 503, s to no fault")
    for workers in (16, 32):
        count = int(seconds * workers / (2 * LATENCY))
        ideal = count * 2 * LATENCY / workers
        with canned(LATENCY) as calm, canned(LATENCY, FAULT_EVERY) as stormy:
            pairs = [(_run(ours(calm), count, workers), _run(ours(stormy), count, workers)) for _ in range(rounds)]
        wall = statistics.median(pair[0] for pair in pairs)
        faulty = statistics.median(pair[1] for pair in pairs)
        print(
            f"{workers:7} {count:9} {ideal:8.2f} {wall:7.2f} {wall / ideal:6.3f}  {faulty:10.2f} {faulty / wall:11.3f}"
            f"   (goals: 1.10, 1.2) {_verdict(wall / ideal <= 1.1 and faulty / wall <= 1.2)}"
        )


def memory_table(counts: tuple[int, int]) -> None:
    """Peak resident memory of a process that streams so many mailboxes."""
    print("\nPeak memory of the whole process, 16 workers, no latency")
    print(f"{'mailboxes':>9} {'MiB':>7}")
    peaks = []
    with canned() as url:
        for count in counts:
            command = [sys.executable, __file__, "--stream", url, str(count)]
            peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024)
            print(f"{count:9} {peaks[-1]:7.1f}")
    print(f"ratio     {peaks[1] / peaks[0]:7.3f}   (goal: flat) {_verdict(peaks[1] / peaks[0] <= 1.1)}")


def _stream(url: str, count: int) -> None:
    _run(ours(url), count, 16)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _verdict(holds: bool) -> str:
    return "met" if holds else "MISSED"


def _machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short run, for a look")
    parser.add_argument("--serve", nargs=2, metavar=("LATENCY", "FAULT_EVERY"), help=argparse.SUPPRESS)
    parser.add_argument("--stream", nargs=2, metavar=("URL", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    _pin(1 if options.serve else 0)
    if options.serve:
        asyncio.run(_serve(float(options.serve[0]), int(options.serve[1])))
        return
    if options.stream:
        _stream(options.stream[0], int(options.stream[1]))
        return
    print(_machine())
    cpu_table(*((3, 50) if options.quick else (9, 200)))
    wall_table(*((1, 1.5) if options.quick else (3, 5.0)))
    memory_table((200, 2000) if options.quick else (1000, 20000))


if __name__ == "__main__":
    main()
