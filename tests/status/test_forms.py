"""A status for machines: by the grammar of Nagios's plugins, and by Prometheus's own parser."""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from safelist.runs.published_files import FileFacts, FileState
from safelist.status import json_form
from safelist.status.facts import StatusFacts
from safelist.status.judging import judge
from safelist.status.nagios import MAX_LINES, plugin_output
from safelist.status.prometheus import exposition
from safelist.store import Verified
from tests.status.samples import DAY, DEFAULTS, FILTER, NOW, SOURCE, TARGET, WELL, ending, known, run, trouble

HOSTILE = "no | 'room'=1;\n\x1b[31m\u202e{x=\"y\"} \\ ends"
RANGE = r"(?:@?(?:~|-?[0-9.]+)?:?(?:-?[0-9.]+)?)?"
DATUM = re.compile(rf"'([^'=]+)'=(-?[0-9.]+)(s|us|ms|%|B|KB|MB|TB|c)?;({RANGE});({RANGE});([0-9.]*);?([0-9.]*)(?: |$)")
"""By the Monitoring Plugins Development Guidelines, "Performance data" and "Threshold and Ranges"."""
EVERYTHING = WELL._replace(
    sources=(
        SOURCE._replace(
            name="sub-sidiary", ended=run(9 * DAY, HOSTILE), outcomes={"failed": 2, "unchanged": 1},
            troubled=(trouble("a"), trouble("b")), stale=(trouble("c"),), not_named=("d@corp.example",),
        ),
        SOURCE,
    ),
    targets=(
        TARGET._replace(name="pairs.front", failure=HOSTILE, file=FileFacts(FileState.DIFFERENT, HOSTILE)),
        TARGET._replace(name="rspamd-redis", entries=None, confirmed=None, file=FileFacts(FileState.UNKNOWN)),
    ),
    filters=(FILTER._replace(address='unix:/a"b\\c\nd', fault=HOSTILE),),
    overrides=(ending(DAY),), known=(known("a"),), verified=Verified(3, "ab" * 32, HOSTILE),
    unknown=(("filter", HOSTILE),),
)  # fmt: skip
NOTHING = StatusFacts(NOW, unknown=(("configuration", HOSTILE),))
FACTS = pytest.mark.parametrize("facts", [WELL, EVERYTHING, NOTHING], ids=["well", "everything", "nothing"])


def data_of(first: str) -> dict[str, tuple[str | None, ...]]:
    """The performance data of a plugin's first line; nothing may be left over."""
    _, bar, text = first.partition(" | ")
    found = list(DATUM.finditer(text))
    assert "".join(each[0] for each in found) == text
    assert bool(found) == bool(bar)
    return {each[1]: each.groups()[1:] for each in found}


@FACTS
def test_a_plugin_s_output_keeps_to_the_grammar(facts: StatusFacts) -> None:
    status = judge(facts, DEFAULTS)
    first, *rest = plugin_output(status, DEFAULTS).split("\n")
    assert re.match(rf"SAFELIST {status.severity.name} - [^|]+( \| |$)", first)
    assert first.count("|") <= 1
    assert all("|" not in line for line in rest)
    assert all(line.isprintable() for line in (first, *rest))
    data_of(first)
    assert len(plugin_output(status, DEFAULTS)) < 8192


def test_the_figures_of_a_plugin() -> None:
    found = data_of(plugin_output(judge(EVERYTHING, DEFAULTS), DEFAULTS).split("\n")[0])
    assert found["sub_sidiary_age"] == (str(9 * 86400), "s", "", "7200", "0", "")
    assert found["sub_sidiary_mailboxes"][0] == "3"
    assert found["sub_sidiary_failed"] == ("1", None, "0", "", "0", "")
    assert found["pairs.front_entries"][0] == "3"
    assert "rspamd_redis_age" not in found
    assert (found["overrides_ending"][0], found["failures_acknowledged"][0]) == ("1", "1")
    assert found["snapshot_age"][:2] == ("720", "s")


def test_many_findings_are_cut() -> None:
    filters = tuple(FILTER._replace(address=f"inet:h:{n}", fault="x" * 1000) for n in range(50))
    lines = plugin_output(judge(WELL._replace(filters=filters), DEFAULTS), DEFAULTS).split("\n")
    assert len(lines) == MAX_LINES + 1
    assert lines[-1] == "and 30 more: safelist status"
    assert all(len(line) < 1500 for line in lines)


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """By Prometheus's own parser: each sample by name and labels; each family once."""
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    assert all(family.type == "gauge" and family.documentation for family in families)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


@FACTS
def test_prometheus_reads_the_file(facts: StatusFacts) -> None:
    status = judge(facts, DEFAULTS)
    text = exposition(status, DEFAULTS)
    found = samples(text)
    assert found["safelist_status", ()] == status.severity
    assert found["safelist_status_timestamp_seconds", ()] == NOW.timestamp()
    labels = {name for _, pairs in found for name, _ in pairs}
    assert labels <= {"source", "target", "outcome", "severity", "address"}
    assert "@" not in text
    assert text.endswith("\n")


def test_the_metrics_say_what_is() -> None:
    found = samples(exposition(judge(EVERYTHING, DEFAULTS), DEFAULTS))
    of = (("source", "sub-sidiary"),)
    assert found["safelist_sync_last_run_timestamp_seconds", of] == (NOW - 9 * DAY).timestamp()
    assert found["safelist_mailboxes", (("outcome", "failed"), *of)] == 2
    assert found["safelist_mailboxes_acknowledged", of] == 1
    assert found["safelist_filter_up", (("address", 'unix:/a"b\\c\nd'),)] == 0
    assert found["safelist_publish_file_as_published", (("target", "pairs.front"),)] == 0
    assert ("safelist_publish_file_as_published", (("target", "rspamd-redis"),)) not in found
    assert found["safelist_chain_verified", ()] == 0
    assert found["safelist_publish_limit_seconds", ()] == 7200


@FACTS
def test_the_json_is_json(facts: StatusFacts) -> None:
    status = judge(facts, DEFAULTS)
    told = json.loads(json.dumps(json_form.status(status)))
    assert told["state"] == status.severity.name
    assert len(told["findings"]) == len(status.findings)
    assert [each["source"] for each in told["sources"]] == [each.name for each in facts.sources]
