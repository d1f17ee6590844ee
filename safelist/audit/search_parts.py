"""What a person searches for, as the database has it. Pure."""

from safelist import sender
from safelist.sender import Form


def search_parts(text: str) -> list[str]:
    """As it was written, and as the database would have it: a domain's other letters stand there as xn--..."""
    typed = sender.typed(text)
    return list(dict.fromkeys([text.strip(), *([] if typed.form is Form.REFUSED else [typed.text])]))
