"""Lines of a filter that nobody else knows, by a Jinja template of the administrator's: one for each statement.

The template runs in Jinja's sandbox, and whatever it prints of a statement is escaped as the configuration names it,
also behind filters. Of Jinja's statements it knows ``if`` and ``set``: blocks that filter or call print what was
escaped already, or never is, and loops and macros need not end. What a line of the file cannot be is refused, not
repaired.
"""

from collections.abc import Callable, Mapping, Set

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from safelist.errors import ConfigError
from safelist.override import Authentication
from safelist.publisher.escaping import Escaping
from safelist.publisher.line_formats import COLUMNS, Capability, Statement, cells
from safelist.sender import Form, Pattern, domain_of

SAMPLE = Statement("you@example.com", Pattern("friend@example.org", Form.ADDRESS), True, Authentication.SPF)
_OTHERS: Mapping[Capability, Statement] = {
    Capability.RECIPIENTS: SAMPLE._replace(recipient=""),
    Capability.EXCEPTIONS: SAMPLE._replace(safe=False),
    Capability.AUTHENTICATION: SAMPLE._replace(authentication=Authentication.NONE),
}
"""What a line must tell from the sample where it is to hold that."""
_FAILURES = (
    TemplateError, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError
)  # fmt: skip
_STATEMENTS = (nodes.Output, nodes.If, nodes.Assign, nodes.AssignBlock)
_OTHER_STATEMENTS = tuple(each for each in nodes.Stmt.__subclasses__() if each not in _STATEMENTS)


def line_of(template: str, escaping: Escaping, holds: Set[Capability]) -> Callable[[Statement], str]:
    """Make the function that writes a statement. Raises ConfigError where the template cannot be one."""
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, finalize=lambda value: escaping.write(_text(value)), keep_trailing_newline=True
    )
    try:
        parsed = environment.parse(template)
        if unknown := next(parsed.find_all(_OTHER_STATEMENTS), None):
            raise ConfigError(f"may use the statements if and set, and no {type(unknown).__name__.lower()}")
        compiled = environment.from_string(parsed)
    except TemplateError as error:
        raise ConfigError(f"is no Jinja template: {error}") from None

    def write(said: Statement) -> str:
        try:
            return _line(compiled.render(_values(said)))
        except _FAILURES as error:
            raise ConfigError(f"cannot write a line for {said.pattern.text}: {error}") from None

    sample = write(SAMPLE)
    for capability, other in _OTHERS.items():
        if capability in holds and write(other) == sample:
            raise ConfigError(f"writes the same line whatever it is to say of {capability}, which `holds` names")
    return write


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(said: Statement) -> dict[str, object]:
    local, at, _ = said.pattern.text.rpartition("@")
    values: dict[str, object] = dict(zip(COLUMNS, cells(said), strict=True))
    return values | {"safe": said.safe, "local_part": local if at else "", "domain": domain_of(said.pattern)}


def _line(text: str) -> str:
    if text.splitlines() != [text] or "\0" in text or text.startswith("#") or not text.strip():
        raise ValueError("it must print one line, which is neither empty nor a comment, and without its end")
    return text
