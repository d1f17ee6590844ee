"""``safelist explain``: what a person is told of a rejection, whatever it is found in."""

from pathlib import Path

import pytest

from safelist.cli.explain import MOST_OCTETS, explain
from safelist.errors import PermissionDeniedError
from tests.cli.command import Command
from tests.publisher.site import as_nobody
from tests.rejections.test_bounce import BLOCKED, LOG, MX, OURS, POSTFIX, SAID, YOU, bounced

FOR_GOOD = ", but it is for good: the mail server does not try again (5xx)"
LOOK = "safelist: look at the greeting of the server that said it, "


@pytest.fixture
def safelist(tmp_path: Path) -> Command:
    """There is neither a configuration nor a database."""
    return Command(tmp_path)


def lines(out: str) -> dict[str, str]:
    """The rows of the first answer."""
    return {line[:11].strip(): line[11:].strip() for line in out.partition("\n\n")[0].splitlines()}


def test_a_text_is_explained(safelist: Command) -> None:
    done = safelist("explain", SAID)
    assert (done.code, done.err) == (0, "")
    found = lines(done.out)
    assert list(found) == ["rejection", "who", "stage", "means", "do", "certainty", "source"]
    assert found["rejection"] == SAID
    assert found["who"].startswith("a Check Point firewall")
    assert found["stage"] == "usually after the message's data"
    assert "X-CheckPoint" in found["do"]
    assert found["certainty"] == "certain: the text is theirs"
    assert found["source"].startswith("https://blog.dotsmart.net/2010/06/23/")


def test_a_bounce_that_is_piped_in_tells_who_said_it_to_whom(safelist: Command) -> None:
    done = safelist("explain", given=bounced())
    assert (done.code, done.err) == (0, "")
    answer, trace = done.out.split("\n\n")
    assert lines(answer)["said by"] == f"{MX} to {OURS} about {YOU}"
    assert lines(answer)["stage"] == "after the message's data"
    assert lines(trace)["header"] == "X-CheckPoint: {4B}"
    assert "its SMTP check off" in lines(trace)["do"]
    assert safelist("explain", "-", given=bounced()) == done


def test_a_file_is_read_and_so_is_a_line_of_a_log(safelist: Command) -> None:
    (safelist.directory / "bounce.eml").write_bytes(bounced())
    assert "a Check Point firewall" in safelist("explain", str(safelist.directory / "bounce.eml")).out
    assert lines(safelist("explain", LOG).out)["said by"] == f"{MX} about {YOU}"


def test_a_server_that_a_bounce_does_not_name_is_told_as_such(safelist: Command) -> None:
    """Gmail's words for people."""
    given = f"Your message wasn't delivered to {YOU}.\n\nThe response from the remote server was:\n\n{SAID}\n".encode()
    assert lines(safelist("explain", given=given).out)["said by"] == f"an unnamed server about {YOU}"


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("571 eaten by the dog", FOR_GOOD),
        ("421 4.3.2 no", ", but it is for now: the mail server tries again by itself, for some days (4xx)"),
        ("5711 is no code", ""),
    ],
)
def test_of_a_text_that_is_not_known_the_code_tells_for_how_long(safelist: Command, text: str, more: str) -> None:
    done = safelist("explain", text)
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[0] == f"safelist: not known who says this{more}: {text}"


def test_several_bounces_tell_whose_box_it_is(safelist: Command) -> None:
    names = []
    for owner in ("corp", "other", "third"):
        path = safelist.directory / f"{owner}.txt"
        path.write_text(POSTFIX.replace("corp.example", f"{owner}.example"))
        names.append(str(path))
    done = safelist("explain", *names)
    answer, box = done.out.split("\n\n")
    assert lines(answer)["said by"] == "; ".join(
        f"mx.{owner}.example about you@{owner}.example" for owner in ("corp", "other", "third")
    )
    assert box.splitlines()[1].endswith(
        "3 replies about recipients of 3 domains, said by servers of 3 owners: the box is on your side of the path"
    )
    (found,) = safelist("explain", "--json", *names).json["boxes"]
    assert (found["fingerprint"], found["side"], found["domains"]) == ("check-point", "ours", 3)


def test_many_recipients_are_not_all_named(safelist: Command) -> None:
    text = "\n".join(POSTFIX.partition("system\n\n")[2].replace("you@", f"n{n}@") for n in range(9))
    said_by = lines(safelist("explain", text).out)["said by"]
    assert said_by.count(" about n") == 5
    assert said_by.endswith("; and 4 more")


def test_what_several_say_is_said_of_each(safelist: Command) -> None:
    done = safelist("explain", "550 5.1.1 Sender verify failed")
    assert lines(done.out)["who"].startswith("an Exim")
    assert lines(done.out)["or"] == "the recipient's mail server: There is no such address."
    assert lines(safelist("explain", "250-XXXXXXXA").out)["certainty"] == "likely: others may say the same"


def test_what_is_not_known_is_said_with_what_to_look_at(safelist: Command) -> None:
    done = safelist("explain", f"host {MX}[192.0.2.25] said: 554 5.9.9 The gate is shut")
    assert (done.code, done.out) == (0, "")
    first, second = done.err.splitlines()
    assert first == f"safelist: not known who says this{FOR_GOOD}: 554 5.9.9 The gate is shut ({MX})"
    assert second.startswith(LOOK)
    both = safelist("explain", f"{BLOCKED}\n\n554 5.9.9 The gate is shut")
    assert "Exchange Server's Connection Filtering agent" in both.out
    assert len(both.err.splitlines()) == 2
    nothing = safelist("explain", given=b"")
    assert nothing.err.splitlines()[0] == "safelist: there is no rejection in it, and no trace of a box that is known"
    assert nothing.code == 0


def test_the_headers_of_mail_that_passed_are_searched(safelist: Command) -> None:
    path = safelist.directory / "passed.txt"
    path.write_text("Received: from a by b\nX-CheckPoint: {4BA23672-7-3A6A8C0-7B6}\nX-Mimecast-Spam-Score: 0\n"
                    "X-MC-Unique: x\nSubject: hello\n\nhello\n")  # fmt: skip
    done = safelist("explain", str(path))
    assert (done.code, done.err) == (0, "")
    assert [lines(part)["who"] for part in done.out.split("\n\n")] == [
        "a Check Point firewall that proxies SMTP",
        "Mimecast",
    ]
    assert [each["fingerprint"]["id"] for each in safelist("explain", str(path), "--json").json["traces"]] == [
        "check-point-header", "mimecast-header",
    ]  # fmt: skip


def test_the_answer_for_programs(safelist: Command) -> None:
    (found,) = safelist("explain", "--json", given=bounced()).json["replies"]
    assert {name: found[name] for name in ("text", "recipient", "remote", "reporter", "stage")} == {
        "text": SAID, "recipient": YOU, "remote": MX, "reporter": OURS, "stage": "message",
    }  # fmt: skip
    (row,) = found["fingerprints"]
    assert row["id"] == "check-point"
    assert row["stages"] == ["message"]
    assert set(row) == {"id", "who", "stages", "about", "meaning", "do", "certainty", "source"}
    assert safelist("explain", "--json", "554 5.9.9 no").json["replies"][0]["fingerprints"] == []


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_what_a_stranger_wrote_does_no_harm_to_a_terminal(safelist: Command, form: tuple[str, ...]) -> None:
    hostile = f"Subject: x\nX-CheckPoint: {{\x1b]0;owned\x07\n\n{SAID} \x1b[31m\u202e".encode()
    done = safelist("explain", *form, given=hostile + b"\xff")
    assert done.code == 0
    assert "Check Point" in done.out
    assert not set(done.out + done.err) & {"\x1b", "\x07", "\u202e"}


def test_what_cannot_be_read_is_refused(safelist: Command) -> None:
    large, outlook = safelist.directory / "large.eml", safelist.directory / "bounce.msg"
    large.write_bytes(b"x" * (MOST_OCTETS + 1))
    outlook.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    for given, expected in (
        (str(large), "large.eml: larger than 10 MiB; give the bounce alone"),
        (str(outlook), "this is Outlook's own format; save the bounce as text or .eml"),
        (str(safelist.directory), "cannot be read: Is a directory"),
        ("nowhere.eml", "safelist: nowhere.eml: there is no such file"),
        ("/no/such/bounce", "safelist: /no/such/bounce: there is no such file"),
        ("../bounce", "safelist: ../bounce: there is no such file"),
    ):
        done = safelist("explain", given)
        assert (done.code, done.out) == (64, "")
        assert expected in done.err
    assert safelist("explain", given=b"x" * (MOST_OCTETS + 1)).code == 64


def test_a_file_of_another_user_is_said_to_be_one(safelist: Command) -> None:
    path = safelist.directory / "bounce.eml"
    path.touch(0o000)
    with as_nobody(), pytest.raises(PermissionDeniedError, match=r"bounce\.eml: may not be read by this user"):
        explain([str(path)])


def test_of_a_large_file_the_beginning_is_looked_at(safelist: Command) -> None:
    done = safelist("explain", given=f"{SAID}\n\n".encode() + b"x\n" * (1 << 19))
    assert done.code == 0
    assert "a Check Point firewall" in done.out
    assert done.err == "safelist: standard input: only its first 1 MiB is looked at\n"


@pytest.mark.parametrize("text", ["554 " + "x" * 5000, "554 a/b.eml said no", "https://x.example/q.txt", "554 \0"])
def test_a_text_is_no_file(safelist: Command, text: str) -> None:
    done = safelist("explain", text)
    assert done.code == 0
    assert "not known who says this" in done.err


def test_nothing_is_waited_for_at_a_terminal(safelist: Command) -> None:
    code, seen = safelist.on_a_terminal("explain")
    assert code == 64
    assert "safelist explain < bounce.eml" in seen
