"""Exchange's message tracking log: which reply belongs to which recipient, and whose it is."""

from safelist.rejections.rejection import Rejection, RejectionKind
from tests.rejections import exchange_logs as logs
from tests.rejections.contract import read


def test_statuses_of_a_failure_belong_to_recipients_in_their_order() -> None:
    def replies_to(recipients: str, status: str) -> list[tuple[str | None, str]]:
        line = logs.tracking_line(source="SMTP", event_id="FAIL", recipient_address=recipients, recipient_status=status)
        found, unread = read("exchange-tracking", (*logs.head("Message Tracking Log", logs.TRACKING), line))
        assert unread == []
        return [(each.recipient, each.reply) for each in found]

    assert replies_to("a@x;b@x", "550 A;550 B") == [("a@x", "550 A"), ("b@x", "550 B")]
    assert replies_to("a@x;b@x", "550 A") == [("a@x", "550 A"), ("b@x", "550 A")]
    assert replies_to("a@x;b@x;c@x", "550 A;550 B") == [("a@x", "550 A"), ("b@x", "550 B"), ("c@x", "")]
    assert replies_to("a@x", "550 A; and more") == [("a@x", "550 A; and more")]
    assert replies_to("", "550 A") == []


def failure(**values: str) -> Rejection:
    line = logs.tracking_line(event_id="FAIL", recipient_address="you@corp.example", **values)
    [found], unread = read("exchange-tracking", (*logs.head("Message Tracking Log", logs.TRACKING), line))
    assert unread == []
    return found


def test_what_a_rule_of_the_site_refuses_is_no_bounce() -> None:
    found = failure(source="AGENT", recipient_status="550 5.7.1 TRANSPORT.RULES.RejectMessage; no", return_path="<>",
                    client_ip="10.0.1.5", original_client_ip="192.0.2.9")  # fmt: skip
    assert (found.kind, found.client, found.sender, found.stage) == (RejectionKind.REJECTED, "192.0.2.9", "", None)


def test_the_name_of_a_server_that_is_its_address_is_none() -> None:
    status = logs.joined(["[{LED=550 5.1.8 No};{MSG=};{FQDN=198.51.100.7};{IP=198.51.100.7};{LRT=}]"])
    found = failure(source="SMTP", recipient_status=status, sender_address="a@corp.example")
    assert (found.client, found.host, found.sender) == ("198.51.100.7", None, "a@corp.example")
