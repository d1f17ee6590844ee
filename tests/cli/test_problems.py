"""Many problems of one cause are one line."""

from safelist.cli.problems import SHOWN, one_line_a_cause


def test_one_line_a_cause_in_the_order_of_their_first() -> None:
    problems = [(f"desk{n}@corp.example", "Exchange stayed busy; run again") for n in range(SHOWN + 3)]
    problems.insert(2, ("sales@corp.example", "no such mailbox"))
    busy, unknown = one_line_a_cause(problems, "mailboxes")
    assert busy == (
        "desk0@corp.example, desk1@corp.example, desk2@corp.example, desk3@corp.example, desk4@corp.example "
        "and 3 more mailboxes (--json names them all): Exchange stayed busy; run again"
    )
    assert unknown == "sales@corp.example: no such mailbox"


def test_messages_that_differ_by_their_own_subject_are_the_same() -> None:
    problems = [(name, f"give it full access: Add-MailboxPermission {name} -User svc") for name in ("a@x", "b@x")]
    assert list(one_line_a_cause(problems, "mailboxes")) == [
        "a@x, b@x: give it full access: Add-MailboxPermission a@x -User svc"
    ]
    crossed = [("a@x", "ask a@x"), ("b@x", "ask a@x")]
    assert len(list(one_line_a_cause(crossed, "mailboxes"))) == 2


def test_nothing_is_no_line() -> None:
    assert list(one_line_a_cause([], "groups")) == []
