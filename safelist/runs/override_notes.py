"""What is said of an override when it is made, and hinders nobody: what goes on to count, slips, who leaves it out."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from safelist import domains, policy
from safelist.config import Config
from safelist.errors import SafelistError
from safelist.override import Override, sentence
from safelist.policy import Candidate, Settings
from safelist.publisher.left_out import left_out
from safelist.sender import Form, Pattern, covering, covers, domain_of
from safelist.store import Made, Moment, Outcome, Store


class Context(NamedTuple):
    """Where the overrides were made. ``moment`` is when they had been."""

    store: Store
    config: Config
    settings: Settings
    moment: Moment


def notes(made: Sequence[Made], context: Context) -> list[list[str]]:
    """The notes on each of ``made``, which a dry run has taken back; none on what was in force already."""
    new = [each for each in made if each.is_new]
    narrower, collected, not_in = _by_what_covers(context), context.store.own_domains(), _left_out(new, context)
    return [
        [
            *_opposite(each, narrower),
            *_not_collected(each.override.terms.scope, collected, context.store),
            *_mistyped(each.override.terms.pattern, context.settings),
            *not_in.get(each.override.terms.pattern, ()),
        ]
        if each.is_new
        else []
        for each in made
    ]


def _by_what_covers(context: Context) -> Mapping[str, list[Override]]:
    """The overrides in force, by the text of every pattern that covers theirs."""
    found: dict[str, list[Override]] = {}
    for override in context.store.overrides():
        for text in covering(override.terms.pattern) if override.in_force(context.moment.at) else ():
            found.setdefault(text, []).append(override)
    return found


def _opposite(made: Made, narrower: Mapping[str, Sequence[Override]]) -> Iterator[str]:
    """Overrides of the same level that are more specific and say the opposite: they go on to count."""
    mine = made.override.terms
    for other in narrower.get(mine.pattern.text, ()):
        terms = other.terms
        is_opposite = terms.level is mine.level and terms.effect is not mine.effect and terms.scope == mine.scope
        if is_opposite and other != made.replaced and covers(mine.pattern, terms.pattern):
            yield f"override {other.id} is more specific and still {sentence(terms)}"


def _not_collected(scope: Pattern | None, collected: Collection[str], store: Store) -> Iterator[str]:
    """A slip in the recipient is seen by nobody else: such an override never counts."""
    if scope is not None and scope.form is Form.ADDRESS:
        state = store.mailbox(scope.text)
        if state is None or state.outcome == Outcome.FORGOTTEN:
            yield f"{scope.text} is no mailbox that is collected: is it spelt right? It counts for that address alone"
    elif scope is not None and scope.text not in collected:
        yield (
            f"no mailbox at {scope.text} is collected: is it spelt right? It counts for that domain alone, not for its "
            "sub-domains"
        )


def _mistyped(pattern: Pattern, settings: Settings) -> Iterator[str]:
    domain = domain_of(pattern)
    meant = domains.mistyped(domain)
    if meant is not None and not policy.is_own(pattern, settings) and domain not in settings.free_mail_domains:
        yield f"{domain} is one letter away from {meant}: if that is meant, revoke this one and name {meant}"


def _left_out(made: Sequence[Made], context: Context) -> Mapping[Pattern, list[str]]:
    """What the configured targets leave out of the senders, or because of them, by their own rendering."""
    if not made or not context.config.publish:
        return {}
    asked = {each.override.terms.pattern for each in made}
    named: dict[str, list[Pattern]] = {}
    for each in asked:
        named.setdefault(each.text.removeprefix("."), []).append(each)
    found: dict[Pattern, list[str]] = {}
    try:
        given = list(_candidates(made, context))
        for name, refused in left_out(given, context.settings, context.config.publish, context.moment.at):
            pattern, domain = refused.pattern, Pattern(domain_of(refused.pattern), Form.DOMAIN)
            if pattern in asked:
                found.setdefault(pattern, []).append(f"the target {name} leaves it out: {refused.why}")
            elif pattern.form is Form.SUBDOMAINS and domain in asked:
                found.setdefault(domain, []).append(f"the target {name} leaves {pattern.text} out: {refused.why}")
            else:
                for each in named.get(refused.exception, ()):
                    found.setdefault(each, []).append(f"the target {name} leaves {pattern.text} out: {refused.why}")
    except SafelistError as error:
        said = f"what the targets leave out cannot be told: {error}"
        return {pattern: [said] for pattern in asked}
    return found


def _candidates(made: Sequence[Made], context: Context) -> Iterator[Candidate]:
    """The senders of ``made`` and what covers them, each with the overrides as they are once ``made`` are recorded."""
    new: dict[str, list[Override]] = {}
    for each in made:
        new.setdefault(each.override.terms.pattern.text, []).append(each.override)
    gone = {each.replaced.id for each in made if each.replaced}
    waiting, seen = [each.override.terms.pattern for each in made], set[Pattern]()
    while waiting:
        if (sender := waiting.pop()) in seen:
            continue
        seen.add(sender)
        asked, _ = context.store.candidate(sender, None, context.settings, context.moment)
        standing = {override.id: override for override in asked.overrides if override.id not in gone}
        standing |= {override.id: override for text in covering(sender) for override in new.get(text, ())}
        asked = asked._replace(overrides=tuple(standing.values()))
        waiting += [tally.pattern for tally in asked.tallies]
        waiting += [override.terms.pattern for override in asked.overrides]
        yield asked
