"""What has become of an override: whoever is asked says the same."""

from datetime import UTC, datetime, timedelta

import pytest

from safelist import store
from safelist.audit.report import build
from safelist.override import Authentication, Effect, Override, State, Terms
from safelist.policy import Settings
from safelist.sender import parse
from tests.cli.command import Command

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
AHEAD = 3650 * DAY
"""By so much the clock was wrong for a while."""
STATES = {
    "stands@x.example": [State.IN_FORCE],
    "ends@x.example": [State.IN_FORCE],
    "ended@x.example": [State.EXPIRED],
    "revoked@x.example": [State.REVOKED],
    "revoked-before-its-end@x.example": [State.REVOKED],
    "replaced@x.example": [State.REVOKED, State.IN_FORCE],
    "renewed@x.example": [State.EXPIRED, State.IN_FORCE],
    "ahead@x.example": [State.IN_FORCE],
    "ahead-with-an-end@x.example": [State.IN_FORCE],
    "ahead-and-revoked@x.example": [State.REVOKED],
    "ahead-and-revoked-by-a-right-clock@x.example": [State.REVOKED],
    "revoked-ahead@x.example": [State.REVOKED],
}
EVENTS = {State.IN_FORCE: [], State.EXPIRED: ["override-expired"], State.REVOKED: ["override-revoked"]}


def allow(name: str, expires: datetime | None = None) -> Terms:
    return Terms(
        Effect.ALLOW, parse(f"{name}@x.example"), "asked for", authentication=Authentication.NONE, expires=expires
    )


@pytest.fixture
def made(safelist: Command) -> list[Override]:
    """Overrides of every kind, in the order in which they were recorded."""

    def make(at: datetime, *given: Terms, replace: bool = False) -> list[int]:
        return [each.override.id for each in opened.make_overrides(given, at, "root", replace=replace)]

    with store.open_store(f"sqlite:///{safelist.database}") as opened:
        make(NOW - 9 * DAY, allow("stands"), allow("ends", NOW + DAY), allow("ended", NOW - DAY))
        revoked = make(NOW - 8 * DAY, allow("revoked"), allow("revoked-before-its-end", NOW + DAY))
        opened.revoke_overrides(revoked, "over", NOW - 7 * DAY, "root")
        make(NOW - 6 * DAY, allow("replaced"), allow("renewed", NOW - 5 * DAY), allow("revoked-ahead"))
        make(NOW - 4 * DAY, allow("replaced", NOW + DAY), allow("renewed"), replace=True)
        make(NOW + AHEAD, allow("ahead"), allow("ahead-with-an-end", NOW + AHEAD + DAY))
        ahead = make(NOW + AHEAD, allow("ahead-and-revoked"), allow("ahead-and-revoked-by-a-right-clock"))
        number = {o.terms.pattern.text: o.id for o in opened.overrides()}
        opened.revoke_overrides([ahead[0], number["revoked-ahead@x.example"]], "over", NOW + AHEAD, "root")
        opened.revoke_overrides([ahead[1]], "over", NOW - DAY, "root")
        return opened.overrides()


def states(made: list[Override]) -> dict[int, State]:
    waiting = {text: list(them) for text, them in STATES.items()}
    return {override.id: waiting[override.terms.pattern.text].pop(0) for override in made}


def test_the_override_itself_says_it(made: list[Override]) -> None:
    assert {override.id: override.state(NOW) for override in made} == states(made)
    assert set(map(State, states(made).values())) == set(State)


def test_every_answer_says_the_same(safelist: Command, made: list[Override]) -> None:
    wanted, sender = states(made), {override.id: override.terms.pattern.text for override in made}
    in_force = {number for number, state in wanted.items() if state is State.IN_FORCE}
    listed = safelist("override", "list", "--all", "--json").json
    assert {row["override"]: row["state"] for row in listed} == wanted
    assert {row["override"] for row in safelist("override", "list", "--json").json} == in_force
    assert {row["sender"] for row in safelist("override", "export", "--json").json} == {sender[n] for n in in_force}
    changed = safelist("audit", "changes", "--since", f"{NOW - 20 * DAY:%Y-%m-%d}", "--json").json["changes"]
    assert {row["override"] for row in changed if row["what"] == "override-made"} == in_force
    for text, them in STATES.items():
        why = safelist("audit", "why", text, "--json").json
        assert [o["in_force"] for o in why["overrides"]] == [state is State.IN_FORCE for state in them], text
        assert (why["reason"] == "enforced-allow") is (State.IN_FORCE in them), text
        happened = [row["what"] for row in safelist("audit", "history", "--sender", text, "--json").json]
        assert sorted(happened) == sorted(
            ["override-made"] * len(them) + [what for state in them for what in EVENTS[state]]
        )


def test_the_pages_of_people_say_the_same(safelist: Command, made: list[Override]) -> None:
    with store.open_store(f"sqlite:///{safelist.database}") as opened:
        report = build(opened, Settings(), NOW)
    assert {line.id: line.state.replace(" ", "-") for line in report.overrides} == states(made)
    for override in made:
        words = str(override.state(NOW)).replace("-", " ")
        assert override.state_sentence(NOW).startswith(words)
        assert override.state_sentence(NOW) in safelist("audit", "who", override.terms.pattern.text).out
        assert str(override.state(NOW)) in safelist("override", "show", str(override.id)).out.split()


def test_what_is_published_and_what_can_be_revoked_are_those_in_force(safelist: Command, made: list[Override]) -> None:
    assert safelist("publish").code == 0
    published = {line.split()[0] for line in safelist.map.read_text().splitlines() if "@" in line and line[0] != "#"}
    assert published == {text for text, them in STATES.items() if State.IN_FORCE in them}
    for number, state in states(made).items():
        done = safelist("override", "revoke", str(number), "--reason", "a test")
        assert (done.code == 0) is (state is State.IN_FORCE), done
        assert (f"override {number} is over already: {state}" in done.err) is (done.code != 0)
