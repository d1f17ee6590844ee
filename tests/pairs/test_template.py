"""Lines by a template of the administrator's: escaped whatever it does, and refused where they can be no line."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from safelist.publisher.escaping import ESCAPINGS
from safelist.publisher.targets.pairs import PairsSettings
from tests.pairs.test_forms import DESK, NONE, Both, held, voted, write
from tests.publisher.site import Given

TEXTS = ["x@a.example", '"a b"@a.example', "o'b@a.example", "a&b@a.example", "$x@a.example", "a{b}@a.example"]


def written(path: Path, **keys: Any) -> list[str]:
    write(path, Given([voted(each) for each in TEXTS]), NONE, format="template", **keys)
    return path.read_text().splitlines()[1:]


@pytest.mark.parametrize(
    "template",
    ["{{ sender }}", "{{ sender|safe }}", "{% set x = sender %}{{ x }}", "{% if safe %}{{ sender }}{% endif %}"],
)
def test_what_it_prints_is_escaped_whatever_it_does(tmp_path: Path, template: str) -> None:
    assert set(written(tmp_path / "csv", template=template, escape="csv")) == {
        '"' + each.replace('"', '""') + '"' for each in TEXTS
    }
    assert {json.loads(each) for each in written(tmp_path / "json", template=template, escape="json")} == set(TEXTS)
    assert set(written(tmp_path / "none", template=template)) == {"x@a.example"}
    shell = written(tmp_path / "ps", template=template, escape="powershell")
    assert "'o''b@a.example'" in shell
    assert [shlex.split(each) for each in shell if "''" not in each]


def test_its_line_has_all_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "file"
    given = Both([voted("x@a.example"), voted(".b.example")], [held(DESK, "y@a.example")])
    keys = {"holds": ["recipients", "domains", "subdomains", "exceptions", "authentication"], "header": "// ours"}
    template = "{{ recipient or '*' }},{{ kind }},{{ local_part }},{{ domain }},{{ safe }},{{ authentication }}"
    write(path, given, NONE, format="template", template=template, escape="csv", **keys)
    assert path.read_text().splitlines() == [
        "// ours",
        '"*","address","x","a.example","true","none"',
        '"*","subdomains","","b.example","true","none"',
        '"desk@corp.example","address","y","a.example","true","none"',
    ]


def test_what_it_does_not_hold_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "file"
    given = Both([voted("x@a.example"), voted("b.example")], [held(DESK, "y@a.example")])
    done = write(path, given, NONE, format="template", template="{{ sender }} OK")
    assert path.read_text().splitlines()[1:] == ["x@a.example OK"]
    assert [each.pattern.text for each in done.refused] == ["b.example"]


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"template": ""}, "template: missing, write it"),
        ({"template": "{{ sender"}, "is no Jinja template"),
        ({"template": "{{ nobody }}"}, "'nobody' is undefined"),
        ({"template": "{{ sender }}\n"}, "it must print one line"),
        ({"template": "# {{ sender }}"}, "it must print one line"),
        ({"template": "{% if not safe %}{% endif %}"}, "it must print one line"),
        ({"template": "{{ sender.__class__.__mro__ }}"}, "unsafe"),
        ({"template": "{{ sender }}\u2028"}, "it must print one line"),
        ({"template": "{{ sender }}\0"}, "it must print one line"),
        ({"template": "{{ sender|xmlattr }}"}, "cannot write a line for friend@example.org"),
        ({"template": "{% filter lower %}{{ sender }}{% endfilter %}"}, "if and set, and no filterblock"),
        ({"template": "{% call '{}'.format(sender) %}{% endcall %}"}, "if and set, and no callblock"),
        ({"template": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"}, "if and set, and no macro"),
        ({"template": "{% if safe %}{% for x in sender %}{{ x }}{% endfor %}{% endif %}"}, "if and set, and no for"),
        ({"template": "{{ sender }}", "holds": ["recipients"]}, "the same line whatever it is to say of recipients"),
        (
            {"template": "{{ sender }}", "holds": ["exceptions", "domains", "subdomains"]},
            "the same line whatever it is to say of exceptions",
        ),
        ({"template": "{{ sender }}{{ safe }}", "holds": ["exceptions"]}, "write domains and subdomains, too"),
        ({"format": "csv", "template": "{{ sender }}"}, "belongs to format = template alone"),
        ({"format": "csv", "holds": ["domains"]}, "belongs to format = template alone"),
        ({"format": "mailscanner", "path": "/x.txt"}, "must not end in .txt or .html"),
        ({"format": "exchange", "path": "/l\u0151.ps1"}, "its name must be ASCII"),
        ({"format": "csv", "path": "/a b"}, "must not contain white space"),
    ],
)
def test_a_configuration_that_cannot_be_is_a_fault(keys: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault.replace("(", "[(]")):
        PairsSettings.model_validate({"path": "/file", "format": "template", **keys})


def test_each_escaping_is_named() -> None:
    assert set(ESCAPINGS) == {"csv", "json", "regexp", "powershell", "none"}


@pytest.mark.parametrize("quote", ["'", "\u2018", "\u2019", "\u201a", "\u201b"])
def test_what_powershell_takes_for_a_quote_is_doubled(tmp_path: Path, quote: str) -> None:
    """A curly one is in no address, but may be in what a template prints."""
    template = f"{{{{ sender ~ '{quote}' }}}}" if quote != "'" else '{{ sender ~ "\'" }}'
    assert f"'x@a.example{quote}{quote}'" in written(tmp_path / "file", template=template, escape="powershell")
