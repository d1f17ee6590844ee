"""Lines of a filter that nobody else knows, by a Jinja template of the administrator's: one for each statement.

The template runs in Jinja's sandbox, and whatever it prints of a statement is escaped as the configuration names it,
also behind filters: there is no way around it. What a line of the file cannot be is refused, not repaired.
"""

from collections.abc import Callable, Mapping, Set

from jinja2 import StrictUndefined, TemplateError
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


def line_of(template: str, escaping: Escaping, holds: Set[Capability]) -> Callable[[Statement], str]:
    """Make the function that writes a statement. Raises ConfigError where the template cannot be one."""
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, finalize=lambda value: escaping.write(_text(value)), keep_trailing_newline=True
    )
    try:
        compiled = environment.from_string(template)
    except TemplateError as error:
        raise ConfigError(f"is no Jinja template: {error}") from None

    def write(said: Statement) -> str:
        try:
            return _line(compiled.render(_values(said)))
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
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
    if len(text.splitlines()) != 1 or text.startswith("#") or not text.strip() or text[-1:] in "\r\n":
        raise ValueError("it must print one line, which is neither empty nor a comment, and without its end")
    return text
