"""A milter that refuses what it is told to, in the protocol of Sendmail's milters, version 6, as far as that needs."""

import socketserver
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

_VERSION = 6
_CONTINUE = b"c"
_OPTIONS, _MACROS, _ABORT, _QUIT = b"O", b"D", b"A", b"Q"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    replies: Mapping[bytes, tuple[bytes, bytes]]


class _Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while length := self.rfile.read(4):
            packet = self.rfile.read(*struct.unpack(">I", length))
            command, data = packet[:1], packet[1:]
            if command == _QUIT:
                return
            if command not in (_MACROS, _ABORT):
                self._send(
                    struct.pack(">cIII", _OPTIONS, _VERSION, 0, 0)
                    if command == _OPTIONS
                    else self._reply(data, command)
                )

    def _reply(self, data: bytes, command: bytes) -> bytes:
        text, reply = cast("_Server", self.server).replies.get(command, (b"\0never", b""))
        return b"y" + reply + b"\0" if text in data else _CONTINUE

    def _send(self, packet: bytes) -> None:
        self.wfile.write(struct.pack(">I", len(packet)) + packet)


@contextmanager
def milter(replies: Mapping[bytes, tuple[bytes, bytes]]) -> Iterator[str]:
    """Run it; the context's value is what smtpd_milters calls it.

    ``replies`` has by the milter protocol's letter of a command (R: a recipient, E: the end of the message) what must
    stand in the command's data, and the reply then.
    """
    with _Server(("127.0.0.1", 0), _Conversation) as server:
        server.replies = replies
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"inet:127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
