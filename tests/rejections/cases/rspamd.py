"""Lines of rspamd, and its history."""

import json

from safelist.rejections.rejection import Listed, Rejection, RejectionKind, Stage
from tests.rejections.contract import NOWHERE, FormatCase, at

_END = "]), len: 9, time: 12.345ms, dns req: 9, digest: <0a1b2c3d4e5f67890a1b2c3d4e5f6789>"


def _of_rspamd(clock: str, envelope: str, verdict: str, rest: str) -> str:
    head = f"{clock} #77(normal) <a1b2c3>; task; rspamd_task_write_log: id: <1@aol.com>,"
    return f"{head} {envelope} (default: {verdict}{rest}"


RSPAMD = FormatCase(
    "rspamd",
    lines=(
        _of_rspamd(
            "2026-11-26 08:00:01", "qid: <4XYz>, ip: 192.0.2.9, user: fax, from: <bob@aol.com>,",
            "T (reject): [23.10/15.00] [RBL_SENDERSCORE(20.00){192.0.2.9:from;},BAYES_SPAM(5.00){100.00%;},"
            "RCVD_IN_DNSWL_MED(-2.00){192.0.2.9:from;},RBL_X_ANY(0.10){}",
            f"{_END}, rcpts: <you@corp.example,all@corp.example>, mime_rcpts: <you@corp.example>",
        ),
        _of_rspamd(
            "2026-11-26 08:00:02.34567", "ip: 2001:db8::9,",
            "T (reject): [15.00/15.00] [MINE(4.00){a;2001:db8::9:received;},BAYES_SPAM(11.00){}",
            f"{_END}, rcpts: <{','.join(f'r{n}@corp.example' for n in range(8))},...>",
        ),
        _of_rspamd(
            "2026-11-26 08:00:03", "ip: 192.0.2.9, from: <bob@aol.com>,",
            "T (reject): [35.00/15.00] [RBL_X(20.00){192.0.2.9:from;},GTUBE(15.00){}",
            f"{_END}, rcpts: <you@corp.example>",
        ),
        _of_rspamd(
            "2026-11-26 08:00:04", "ip: 192.0.2.9, from: <bob@aol.com>,",
            "F (soft reject): [0.00/15.00] [",
            f"{_END}, rcpts: <you@corp.example>, mime_rcpts: <x@y>, forced: soft reject \"Try again later\"; score=nan "
            "(set by greylist), settings_id: 3",
        ),
        _of_rspamd(
            "2026-11-26 08:00:05", "ip: 192.0.2.9, from: <bob@aol.com>,",
            "T (reject): [20.00/15.00] [RBL_X(20.00){192.0.2.9:from;}",
            f"{_END}, rcpts: <you@corp.example>, forced: reject \"5.7.1 go \"away\"; now\"; score=nan (set by dmarc)",
        ),
        "2026-11-26T08:00:06.5+00:00 mx rspamd[77]: "
        + _of_rspamd(
            "", "ip: 192.0.2.9, from: <bob@aol.com>,", "T (reject): [20.00/15.00] [RBL_X(20.00){192.0", ""
        ).lstrip(),
        _of_rspamd(
            "2026-11-26 08:00:07 [notice]", "ip: 192.0.2.9, from: <a b, c@aol.com>,",
            "T (reject): [16.00/15.00] [FORGED(16.00){a b;c}d;}", f"{_END}, rcpts: <you@corp.example,al",
        ),
    ),
    found=(
        *(
            Rejection(
                at("08:00:01"), RejectionKind.REJECTED, NOWHERE, "", "192.0.2.9", None, "bob@aol.com", recipient,
                Stage.MESSAGE, "RBL_SENDERSCORE", Listed.CLIENT,
            )
            for recipient in ("you@corp.example", "all@corp.example")
        ),
        *(
            Rejection(
                at("08:00:02.34567"), RejectionKind.REJECTED, NOWHERE, "", "2001:db8::9", None, "", recipient,
                Stage.MESSAGE, "MINE",
            )
            for recipient in (*(f"r{n}@corp.example" for n in range(8)), None)
        ),
        Rejection(
            at("08:00:03"), RejectionKind.REJECTED, NOWHERE, "", "192.0.2.9", None, "bob@aol.com", "you@corp.example",
            Stage.MESSAGE,
        ),
        Rejection(
            at("08:00:04"), RejectionKind.DEFERRED, NOWHERE, "Try again later", "192.0.2.9", None, "bob@aol.com",
            "you@corp.example", Stage.MESSAGE,
        ),
        Rejection(
            at("08:00:05"), RejectionKind.REJECTED, NOWHERE, '5.7.1 go "away"; now', "192.0.2.9", None, "bob@aol.com",
            "you@corp.example", Stage.MESSAGE,
        ),
        Rejection(
            at("08:00:06.5"), RejectionKind.REJECTED, NOWHERE, "", "192.0.2.9", None, "bob@aol.com", None,
            Stage.MESSAGE, "RBL_X",
        ),
        *(
            Rejection(
                at("08:00:07"), RejectionKind.REJECTED, NOWHERE, "", "192.0.2.9", None, "a b, c@aol.com", recipient,
                Stage.MESSAGE,
            )
            for recipient in ("you@corp.example", None)
        ),
    ),
    others=(
        *(
            _of_rspamd(
                "2026-11-26 08:00:01", "ip: 192.0.2.9, from: <bob@aol.com>,",
                f"F ({action}): [11.00/15.00] [RBL_X(11.00){{192.0.2.9:from;}}", f"{_END}, rcpts: <you@corp.example>",
            )
            for action in ("no action", "add header", "rewrite subject", "greylist", "discard", "quarantine")
        ),
        "2026-11-26 08:00:01 #77(normal) <a1b2c3>; task; rspamd_message_parse: loaded message; id: <reject>",
    ),
)  # fmt: skip


def _row(action: str, **more: object) -> str:
    return json.dumps({"unix_time": 1795680001, "ip": "192.0.2.9", "required_score": 15, "action": action, **more})


_LISTS = {"RBL_X": {"score": 9.5, "options": ["192.0.2.9:from"], "name": "RBL_X"}, "B": {"score": 8}}
RSPAMD_HISTORY = FormatCase(
    "rspamd-history",
    head=("[",),
    lines=(
        _row(
            "reject", score=17.5, sender_smtp="bob@aol.com", rcpt_smtp=["you@corp.example", "all@corp.example"],
            symbols=_LISTS, subject='"}]', user="unknown",
        ) + ",",
        _row("reject", score=25, sender_smtp="", rcpt_smtp=["you@corp.example"], symbols=_LISTS) + ",",
        _row("soft reject", score=0, sender_smtp="bob@aol.com", rcpt_smtp=["unknown"], symbols=[]) + ",",
        _row("reject", id="1@aol.com", score=40.9, symbols={"RBL_X": {"score": 0.0}}, **{"from": "192.0.2.9"}) + ",",
        _row("reject", ip="unknown", score=0, sender_smtp="unknown", rcpt_smtp={}, symbols={}) + "]",
    ),
    found=(
        *(
            Rejection(
                at("08:00:01"), RejectionKind.REJECTED, NOWHERE, "", "192.0.2.9", None, "bob@aol.com", recipient,
                Stage.MESSAGE, "RBL_X", Listed.CLIENT,
            )
            for recipient in ("you@corp.example", "all@corp.example")
        ),
        Rejection(
            at("08:00:01"), RejectionKind.REJECTED, NOWHERE, "", "192.0.2.9", None, "", "you@corp.example",
            Stage.MESSAGE,
        ),
        Rejection(
            at("08:00:01"), RejectionKind.DEFERRED, NOWHERE, "", "192.0.2.9", None, "bob@aol.com", stage=Stage.MESSAGE
        ),
        Rejection(at("08:00:01"), RejectionKind.REJECTED, NOWHERE, "", "192.0.2.9", stage=Stage.MESSAGE),
        Rejection(at("08:00:01"), RejectionKind.REJECTED, NOWHERE, "", stage=Stage.MESSAGE),
    ),
    others=(
        _row("no action", score=11, sender_smtp="bob@aol.com", rcpt_smtp=["you@corp.example"], symbols=_LISTS) + ",",
        _row("add header", score=11, subject='"action":"reject"') + ",",
        '"version":2}',
    ),
)  # fmt: skip
