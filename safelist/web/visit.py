"""What a page is given, and what it is: the contract of a page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from safelist import used
from safelist.config import Config, Web
from safelist.errors import SafelistError
from safelist.policy import Settings
from safelist.publisher.targets import filter_snapshot
from safelist.store import Look, Store
from safelist.used import Use
from safelist.web.identity import Person, Role

Clock = Callable[[], datetime]


class BadRequestError(Exception):
    """What a page was asked cannot be answered: the HTTP status, and a sentence for the person."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


@dataclass(frozen=True, slots=True)
class PageService:
    """What all pages share: also which ones there are. ``demo`` is whom everybody is in a demonstration, without any
    log-in.
    """

    config: Config
    rules: Web
    store: Store
    clock: Clock
    pages: "tuple[WebPage, ...]"
    demo: str | None = None

    def menu(self, person: Person) -> "tuple[WebPage, ...]":
        """What the menu shows that person."""
        return tuple(page for page in self.pages if page.title and page.role <= person.role)


@dataclass(frozen=True, slots=True)
class Visit:
    """One question of one person: the parameters of the address, each there once."""

    service: PageService
    person: Person
    path: str
    given: Mapping[str, str]
    now: datetime

    @property
    def store(self) -> Store:
        """The aggregate."""
        return self.service.store

    @property
    def settings(self) -> Settings:
        """The policy's, with the domains of the mailboxes."""
        return self.service.config.policy.settings(self.store.own_domains())

    def text(self, name: str) -> str:
        """The parameter of that name without white space around it; empty where there is none."""
        return self.given.get(name, "").strip()

    def note(self, page: str, names: int, mailbox: str | None = None, sender: str | None = None) -> None:
        """Record that the person is about to be shown lists of others; without a record nothing is shown."""
        shown = Look(self.person.role.title, page, mailbox, sender, names)
        self.store.note_look(shown, self.now, self.person.address)


@dataclass(frozen=True, slots=True)
class WebPage:
    """A page: where it is, what the menu calls it (empty: not there), who may see it, and what answers."""

    path: str
    title: str
    role: Role
    answer: Callable[[Visit], Response]


def uses_of(visit: Visit, mailbox: str) -> list[Use] | None:
    """Which entries let mail to the mailbox through; None where the filter notes none, or its file cannot be read."""
    chosen = visit.service.config.publish.get(filter_snapshot.NAME)
    if chosen is None or chosen.used is None:
        return None
    try:
        return used.read(chosen.used, mailbox)
    except SafelistError:
        return None
