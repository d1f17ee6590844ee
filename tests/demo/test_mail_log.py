"""The demo's log is one that ``safelist rejections`` reads, of the days before it is made."""

from collections import Counter
from datetime import UTC, datetime

from safelist.demo.mail_log import SPAN, mail_log
from safelist.demo.sample import AOL_SENDER, YAHOO_SENDER
from tests.rejections.contract import read

NOW = datetime(2027, 1, 1, 0, 30, tzinfo=UTC)


def test_every_refusal_is_read_with_its_sender_and_its_list() -> None:
    lines = mail_log(NOW)
    found, unread = read("postfix", lines)
    assert unread == []
    assert len(found) == sum("reject" in line for line in lines)
    senders = Counter(each.sender for each in found)
    assert (senders[AOL_SENDER], senders[YAHOO_SENDER], senders[""]) == (5, 3, 1)
    assert {each.provider for each in found} == {"zen.spamhaus.org", "bl.spamcop.net", None}


def test_its_dates_are_in_order_and_fresh() -> None:
    moments = [datetime.fromisoformat(line.split()[0]) for line in mail_log(NOW)]
    assert moments == sorted(moments)
    assert (moments[0], max(moments) < NOW) == (NOW - SPAN, True)
