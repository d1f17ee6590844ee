"""Exchange's agent log: what became of a mail, who said so, and whom it was about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.rejections.rejection import Listed, Rejection, RejectionKind
from tests.rejections import exchange_logs as logs
from tests.rejections.cases.exchange import EXCHANGE_AGENT
from tests.rejections.contract import read


def agent(**values: str) -> Rejection:
    line = logs.agent_line(**{"Action": "RejectCommand", "EnteredOrgFromIP": "192.0.2.9", **values})
    [found], unread = read("exchange-agent", (*logs.head("Agent Log", logs.AGENT), line))
    assert unread == []
    return found


def test_a_reply_about_another_client_than_the_one_that_was_refused_is_noted() -> None:
    """The cause: a server that took the answer for one client for all of them."""
    reply = "550 5.7.1 198.51.100.7 is on a list of ours"
    of_list = {"Reason": "BlockListProvider", "ReasonData": "Ours", "SmtpResponse": reply}
    note = "the reply is about 198.51.100.7, and the client was 192.0.2.9: the list may not have been asked about it"
    assert agent(**of_list).note == note
    assert agent(**{**of_list, "EnteredOrgFromIP": "198.51.100.7"}).note is None
    assert agent(**{**of_list, "Reason": "SenderFilter"}).note is None


def test_a_list_is_named_by_its_lookup_domain_if_the_log_has_it_and_never_with_its_key() -> None:
    key = "abcdefghij0123456789abcdef"
    named = {"Reason": "BlockListProvider", "ReasonData": f"{key}.zen.dq.spamhaus.net", "SmtpResponse": "550 5.7.1 No"}
    assert agent(**named).provider == "***.zen.dq.spamhaus.net"
    assert agent(**named, Event="OnRcptCommand").listed is Listed.CLIENT
    assert agent(**{**named, "SmtpResponse": "550 5.7.1 listed by bl.example"}).provider == "bl.example"
    assert agent(**{**named, "ReasonData": ""}).provider == "(not named)"
    assert agent(SmtpResponse="550 5.7.1 No", Reason="LocalBlockList").provider is None


@pytest.mark.parametrize(
    ("action", "sender", "reply", "kind"),
    [
        ("RejectMessage", "bob@aol.com", "451 4.7.1 Later", RejectionKind.DEFERRED),
        ("DeleteMessage", "bob@aol.com", "", RejectionKind.REJECTED),
        ("Disconnect", "", "", RejectionKind.DISCONNECTED),
        ("Disconnect", "<>", "", RejectionKind.REJECTED),
        ("RejectConnection", "", "554 5.7.1 No", RejectionKind.REJECTED),
    ],
)
def test_what_became_of_a_mail_is_told_by_the_agents_action(
    action: str, sender: str, reply: str, kind: RejectionKind
) -> None:
    assert agent(Action=action, P1FromAddress=sender, SmtpResponse=reply).kind is kind


@given(st.lists(st.text(max_size=8), max_size=4), st.text(max_size=8), st.text(min_size=1, max_size=8))
def test_whatever_values_hold_they_are_read_as_they_were(recipients: list[str], sender: str, reason: str) -> None:
    recipients = [each for each in (each.replace("\r", "").replace("\n", "") for each in recipients) if each]
    line = logs.agent_line(
        Action="RejectMessage", Recipient=logs.joined(recipients), P1FromAddress=f"<{sender}>", Agent=reason,
        SmtpResponse=f"550 5.7.1 {reason}",
    )  # fmt: skip
    found, unread = read("exchange-agent", (*logs.head("Agent Log", logs.AGENT), line))
    assert unread == []
    assert [each.recipient or "" for each in found] == (recipients or [""])
    assert {each.sender for each in found} == {sender.replace("\r", "\\r").replace("\n", "\\n")}


def test_another_log_behind_a_log_is_said_to_be_left() -> None:
    case = EXCHANGE_AGENT
    found, unread = read("exchange-agent", (*case.head, *logs.head("Queue Log", ["a"]), *case.lines, *case.head))
    assert (found, len(unread)) == ([], 1)
    assert read("exchange-agent", (*logs.head("Agent Log", ["Timestamp"]), *case.lines)) == (
        [],
        ["expected #Fields: with action, smtpresponse; the lines below are left"],
    )
