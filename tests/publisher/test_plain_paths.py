"""A path that a filter's configuration names as it is holds nothing that means something else there."""

from typing import Any

import pytest
from pydantic import ValidationError

from safelist.publisher.targets import TARGETS, amavis, exim, pairs, rspamd, spamassassin

SETTINGS = (exim.EximSettings, rspamd.RspamdSettings, spamassassin.SpamAssassinSettings)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", ["safe list", "${run{x}}", 'a"b', "a'b", "a#b", "a%d", "a\\b", "a;b", "ä", "a\nb"])
def test_what_means_something_in_a_configuration_is_refused(settings: Any, name: str) -> None:
    """White space ends spamd's option, ``%d`` in it is the recipient's domain, and ``#`` begins a comment."""
    with pytest.raises(ValidationError, match=r"must hold letters, digits and any of / \. _ \+ - only"):
        settings.model_validate({"path": f"/var/lib/{name}/safelist"})


@pytest.mark.parametrize("path", ["lists/safelist", "/", "/var/lib/..", "/var/lib/a\0b"])
@pytest.mark.parametrize("settings", [target.settings for target in TARGETS.values() if target.name != amavis.NAME])
def test_what_can_be_no_file_is_refused(settings: Any, path: str) -> None:
    with pytest.raises(ValidationError, match="path"):
        settings.model_validate({"path": path, "format": "csv"} if settings is pairs.PairsSettings else {"path": path})


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_plain_path_is_absolute(settings: Any) -> None:
    assert str(settings.model_validate({"path": "/var/lib/a_b-c.d/e+1"}).path) == "/var/lib/a_b-c.d/e+1"
    with pytest.raises(ValidationError, match="must be the absolute path of a file"):
        settings.model_validate({"path": "lists/safelist"})
