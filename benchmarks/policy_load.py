"""How many policy requests a second a server answers, and how fast: a closed loop, in a process of its own.

    python benchmarks/policy_load.py [--rounds 5] [--seconds 1.5] [--connections 20] [--address unix:PATH]

Alone it sets the policy server, with an answer that is always DUNNO, against the least that asyncio can do. For a
server that runs already, ``measure(address)`` is called by other benchmarks, or --address by hand.
"""

import argparse
import asyncio
import itertools
import multiprocessing
import os
import select
import socket
import statistics
import sys
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from machine import machine

from safelist.filter.server import Server

_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Load:
    """What one run saw: requests a second, microseconds from request to answer, and how often each answer came."""

    rate: float
    p50: float
    p99: float
    answers: Mapping[str, int]


def request(number: int) -> bytes:
    """The 678 octets that Postfix 3.7 sends at RCPT TO, about the ``number``th mail."""
    client, name = f"198.51.{number // 250 % 250}.{number % 250 + 1}", f"mail{number % 100_000:05}.example.net"
    lines = f"""\
request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address={client}
client_name={name}
client_port=52000
reverse_client_name={name}
server_address=192.0.2.25
server_port=25
helo_name={name}
sender=someone{number % 1_000_000:06}@mail.example.com
recipient=user{number % 1_000_000:06}@corp.example
recipient_count=0
queue_id=
instance=1a2b.6745c3f1.6f7a8.0
size=12345
etrn_domain=
stress=
sasl_method=
sasl_username=
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=TLSv1.3
encryption_cipher=TLS_AES_256_GCM_SHA384
encryption_keysize=256
policy_context=
"""
    lines += f"compatibility_level={'3.6':.<{677 - len(lines) - 21}}\n"
    return lines.encode() + b"\n"


def measure(
    address: str,
    *,
    seconds: float = 2.0,
    connections: int = 20,
    make: Callable[[int], bytes] = request,
    different: int = 10_000,
    core: int | None = None,
    end: bytes = b"\n\n",
) -> Load:
    """Load the server at ``address`` (unix:PATH or inet:HOST:PORT) for ``seconds``.

    Each connection sends ``make(0)`` to ``make(different - 1)`` in turn, the next one when an answer has come. The
    load comes from a forked process, on ``core`` where that is given; what has come is an answer where it ends in
    ``end``. Raises EOFError when the server disconnects.
    """
    here, there = _FORK.Pipe()
    requests = [make(number) for number in range(different)]
    arguments = (there, address, seconds, connections, requests, core, end)
    process = _FORK.Process(target=_load, args=arguments, daemon=True)
    process.start()
    there.close()
    try:
        with here:
            took, answers = here.recv()
    finally:
        process.join()
    took = sorted(took)
    return Load(len(took) / seconds, took[len(took) // 2] / 1000, took[len(took) * 99 // 100] / 1000, answers)


def _load(
    there: Connection,
    address: str,
    seconds: float,
    connections: int,
    sent: list[bytes],
    core: int | None,
    end: bytes,
) -> None:
    pin(core)
    opened = {found.fileno(): found for found in (_connect(address) for _ in range(connections))}
    there.send(_closed_loop(opened, itertools.cycle(sent), seconds, end))


def _closed_loop(
    opened: Mapping[int, socket.socket], requests: Iterator[bytes], seconds: float, end_of_answer: bytes
) -> tuple["array[int]", dict[str, int]]:
    """Nanoseconds that each answer took, and the answers."""
    clock, took, answers = time.perf_counter_ns, array("q"), Counter[bytes]()
    sent, held = {}, dict.fromkeys(opened, b"")
    poll = select.epoll()
    for number, connection in opened.items():
        poll.register(number, select.EPOLLIN)
        sent[number] = clock()
        connection.sendall(next(requests))
    end = clock() + int(seconds * 1e9)
    now = clock()
    while now < end:
        for number, _ in poll.poll(1):
            connection = opened[number]
            answer = held[number] + _received(connection)
            if not answer.endswith(end_of_answer):
                held[number] = answer
                continue
            now = clock()
            took.append(now - sent[number])
            answers[answer] += 1
            held[number], sent[number] = b"", now
            connection.send(next(requests))
        now = clock()
    return took, {answer.decode().strip(): count for answer, count in answers.items()}


def _received(connection: socket.socket) -> bytes:
    if not (data := connection.recv(4096)):
        sys.exit("the server has closed a connection")
    return data


def _connect(address: str) -> socket.socket:
    kind, _, rest = address.partition(":")
    if kind == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(rest)
        return connection
    host, _, port = rest.rpartition(":")
    connection = socket.create_connection((host.strip("[]"), int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def pin(core: int | None) -> None:
    """Keep this process on one core, where there is one to spare."""
    if core is not None and core in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {core})


class Null(asyncio.BufferedProtocol):
    """The floor: finds the end of a request, reads nothing in it."""

    buffer = memoryview(bytearray(65536))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.held = b""

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.held += self.buffer[:nbytes].tobytes()
        while (end := self.held.find(b"\n\n")) >= 0:
            self.held = self.held[end + 2 :]
            self.transport.write(b"action=DUNNO\n\n")


async def null(path: str) -> None:
    """Serve on a UNIX socket, for ever."""
    server = await asyncio.get_running_loop().create_unix_server(Null, path)
    await server.serve_forever()


async def dunno(path: str) -> None:
    """The policy server with the least of answers."""
    await Server(lambda _: "DUNNO", [f"unix:{path}"]).run()


@contextmanager
def serving(serve: Callable[[str], object], path: Path, core: int | None) -> Iterator[int]:
    """``serve(path)``, a coroutine function, in a forked process; its process id."""

    def work() -> None:
        pin(core)
        asyncio.run(serve(str(path)))  # type: ignore[arg-type]

    process = _FORK.Process(target=work, daemon=True)
    process.start()
    try:
        while not path.exists():
            time.sleep(0.02)
        assert process.pid is not None
        yield process.pid
    finally:
        process.terminate()
        process.join()


def cpu(process: int) -> float:
    """Seconds of processor time that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def versus(rounds: int, seconds: float, connections: int) -> Mapping[str, Sequence[tuple[Load, float]]]:
    """Both servers, in turn, ``rounds`` times: the load, and microseconds of processor time a request."""
    servers = {"null": null, "Server": dunno}
    seen: dict[str, list[tuple[Load, float]]] = {name: [] for name in servers}
    cores = [*sorted(os.sched_getaffinity(0)), None]
    for _ in range(rounds):
        for name, serve in servers.items():
            with tempfile.TemporaryDirectory() as directory, serving(serve, Path(directory, "s"), cores[0]) as process:
                measure(f"unix:{directory}/s", seconds=0.3, connections=connections, core=cores[1])
                before = cpu(process)
                load = measure(f"unix:{directory}/s", seconds=seconds, connections=connections, core=cores[1])
                seen[name].append((load, (cpu(process) - before) * 1e6 / (load.rate * seconds)))
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--address", help="unix:PATH or inet:HOST:PORT of a server to measure, alone")
    options = parser.parse_args()
    print(f"{machine()}\n{options.connections} connections, requests of {len(request(0))} octets, closed loop\n")
    if options.address:
        print(measure(options.address, seconds=options.seconds, connections=options.connections))
        return
    seen = versus(options.rounds, options.seconds, options.connections)
    print("| server | requests/s | CPU us a request | p50 us | p99 us |\n|---|--:|--:|--:|--:|")
    for name, runs in seen.items():
        figures = [(load.rate, cost, load.p50, load.p99) for load, cost in runs]
        rate, cost, p50, p99 = map(statistics.median, zip(*figures, strict=True))
        print(f"| {name} | {rate:,.0f} | {cost:.1f} | {p50:.0f} | {p99:.0f} |")
    pairs = list(zip(seen["Server"], seen["null"], strict=True))
    ratios = [server.rate / floor.rate for (server, _), (floor, _) in pairs]
    costs = [floor / server for (_, server), (_, floor) in pairs]
    print(f"\nServer / null, round by round: {' '.join(f'{ratio:.2f}' for ratio in ratios)}")
    print(f"median {statistics.median(ratios):.2f} of the requests/s; by CPU time {statistics.median(costs):.2f}")


if __name__ == "__main__":
    main()
