"""The endpoint as a process of its own: ``python -m tests.exchange --mailboxes 20000 --senders 230 --latency 0.05``."""

import argparse
import signal
import sys
import threading

from tests.exchange.faults import Fault, Trouble
from tests.exchange.generated import generated
from tests.exchange.organisation import Organisation
from tests.exchange.server import DemoServer


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. The first line of output is the EWS URL."""
    options = _parser().parse_args(arguments)
    organisation = generated(options.mailboxes, options.senders)
    _queue_faults(organisation, options.trouble, options.share, options.back_off)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with DemoServer(organisation, port=options.port, latency=options.latency) as server:
        print(server.url, flush=True)
        stop.wait()
        print(len(server.requests), "requests", file=sys.stderr)
    return 0


def _queue_faults(organisation: Organisation, trouble: str | None, share: float, back_off: int) -> None:
    if trouble:
        organisation.faults.append(Fault(Trouble(trouble), times=None, share=share, back_off_ms=back_off))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.exchange", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1 (0: a free one)")
    parser.add_argument("--mailboxes", type=int, default=1000, help="how many")
    parser.add_argument("--senders", type=int, default=100, help="trusted senders of each generated mailbox")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--trouble", choices=[trouble.value for trouble in Trouble], help="a fault of some requests")
    parser.add_argument("--share", type=float, default=0.01, help="the part of the requests that it strikes")
    parser.add_argument("--back-off", type=int, default=0, metavar="MS", help="BackOffMilliseconds of that fault")
    return parser


if __name__ == "__main__":
    sys.exit(main())
