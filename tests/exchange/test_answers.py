"""The operations, asked without HTTP."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelist.demo.identifiers import item_id
from safelist.demo.organisation import STATE
from safelist.demo.soap import TYPES
from safelist.junkrule import JunkRule, decode, encode
from tests.exchange import (
    DistributionGroup,
    DlMember,
    Fault,
    Mailbox,
    Organisation,
    Trouble,
    client,
    generated,
    mailbox_guid,
)
from tests.exchange.client import (
    CONDITION,
    NAME,
    PROVIDER,
    ask,
    change_keys,
    codes,
    find_item,
    get_item,
    item_ids,
    values,
)
from tests.exchange.identifiers import folder_id
from tests.exchange.operations import answer

LONG = JunkRule(safe_senders=tuple(f"sender{number}@partner.example" for number in range(100)))
SHORT = JunkRule(safe_senders=("a@aol.com",))


@pytest.fixture
def organisation() -> Organisation:
    group = DistributionGroup(
        "all@corp.example", (DlMember("a@corp.example"), DlMember("all@corp.example", "PublicDL"))
    )
    boxes = [Mailbox("a@corp.example", LONG, aliases=("alias@corp.example",)), Mailbox("b@corp.example", SHORT)]
    return Organisation.of([*boxes, Mailbox("empty@corp.example", neighbours=False)], [group])


def junk_ids(organisation: Organisation, address: str) -> list[str]:
    reply = ask(organisation, find_item(address, PROVIDER), address)
    return [
        i for i, provider in zip(item_ids(reply), values(reply, 0x65EB), strict=True) if provider == "JunkEmailRule"
    ]


class TestFindItem:
    def test_finds_both_rules_and_names_their_providers(self, organisation: Organisation) -> None:
        reply = ask(organisation, find_item("a@corp.example", PROVIDER), "a@corp.example")
        assert codes(reply) == ["NoError"]
        assert values(reply, 0x65EB) == ["RuleOrganizer", "JunkEmailRule"]

    def test_without_a_restriction_the_configuration_rows_come_too(self, organisation: Organisation) -> None:
        reply = ask(organisation, find_item("a@corp.example", PROVIDER, restriction=""), "a@corp.example")
        assert len(item_ids(reply)) == 5
        assert len(values(reply, 0x65EB)) == 2

    def test_cuts_a_binary_to_512_bytes_without_an_error(self, organisation: Organisation) -> None:
        reply = ask(organisation, find_item("a@corp.example", CONDITION, PROVIDER), "a@corp.example")
        assert codes(reply) == ["NoError"]
        assert base64.b64decode(values(reply, 0x0E9A)[1]) == encode(LONG)[:512]

    def test_cuts_a_string_to_255_characters(self, organisation: Organisation) -> None:
        organisation.mailboxes["a@corp.example"].set_rule(LONG, name="n" * 300)
        reply = ask(organisation, find_item("a@corp.example", NAME, base="Default"), "a@corp.example")
        assert values(reply, 0x65EC)[1] == "n" * 255
        assert [e.text for e in reply.xml.iter(f"{{{TYPES}}}Subject")][1] == "n" * 255

    def test_an_empty_inbox_answers_no_items(self, organisation: Organisation) -> None:
        reply = ask(organisation, find_item("empty@corp.example"), "empty@corp.example")
        root = reply.xml.find(".//m:RootFolder", client.NS)
        assert root is not None
        assert (root.get("TotalItemsInView"), root.get("IncludesLastItemInRange")) == ("0", "true")

    @pytest.mark.parametrize("traversal", ["Shallow", "SoftDeleted"])
    def test_other_traversals_do_not_see_associated_items(self, organisation: Organisation, traversal: str) -> None:
        reply = ask(organisation, find_item("a@corp.example", traversal=traversal), "a@corp.example")
        assert (codes(reply), item_ids(reply)) == (["NoError"], [])

    def test_exchange_2007_knows_no_associated_traversal(self, organisation: Organisation) -> None:
        reply = ask(organisation, find_item("a@corp.example"), "a@corp.example", version="Exchange2007_SP1")
        assert (reply.status, codes(reply)) == (500, ["ErrorSchemaValidation"])

    def test_pages_of_the_size_asked_for(self, organisation: Organisation) -> None:
        ids, offset, last = [], 0, "false"
        while last == "false":
            asked = find_item("a@corp.example", restriction="", page=(offset, 2))
            reply = ask(organisation, asked, "a@corp.example")
            root = reply.xml.find(".//m:RootFolder", client.NS)
            assert root is not None
            assert root.get("TotalItemsInView") == "5"
            offset, last = int(root.get("IndexedPagingOffset", "")), root.get("IncludesLastItemInRange", "")
            ids.append(len(item_ids(reply)))
        assert ids == [2, 2, 1]

    def test_the_server_may_return_less_than_asked_for(self, organisation: Organisation) -> None:
        organisation.find_limit = 1
        reply = ask(organisation, find_item("a@corp.example", page=(0, 100)), "a@corp.example")
        root = reply.xml.find(".//m:RootFolder", client.NS)
        assert root is not None
        assert (len(item_ids(reply)), root.get("IncludesLastItemInRange")) == (1, "false")

    def test_pages_from_the_end(self, organisation: Organisation) -> None:
        asked = find_item("a@corp.example", restriction="", page=(1, 2)).replace("Beginning", "End")
        whole = item_ids(ask(organisation, find_item("a@corp.example", restriction=""), "a@corp.example"))
        assert item_ids(ask(organisation, asked, "a@corp.example")) == whole[2:4]

    @pytest.mark.parametrize(("offset", "size"), [(-1, 1), (0, 0), ("x", 1)])
    def test_absurd_paging_is_refused(self, organisation: Organisation, offset: int, size: int) -> None:
        reply = ask(organisation, find_item("a@corp.example", page=(offset, size)), "a@corp.example")
        assert codes(reply) == ["ErrorInvalidIndexedPagingParameters"]

    @pytest.mark.parametrize(("name", "count"), [("inbox", 2), ("root", 0)])
    def test_a_folder_by_its_id(self, organisation: Organisation, name: str, count: int) -> None:
        reply = ask(organisation, self.by_folder(folder_id(mailbox_guid("a@corp.example"), name)), "a@corp.example")
        assert (codes(reply), len(item_ids(reply))) == (["NoError"], count)

    def test_a_folder_by_an_id_that_is_none(self, organisation: Organisation) -> None:
        gone = folder_id(mailbox_guid("gone@corp.example"), "inbox")
        assert codes(ask(organisation, self.by_folder("x"), "a@corp.example")) == ["ErrorInvalidIdMalformed"]
        assert codes(ask(organisation, self.by_folder(gone), "a@corp.example")) == ["ErrorFolderNotFound"]

    @staticmethod
    def by_folder(identifier: str) -> str:
        return find_item(None).replace(client.folder(None), f'<t:FolderId Id="{identifier}"/>')

    def test_an_unknown_folder_is_an_error_message(self, organisation: Organisation) -> None:
        reply = ask(organisation, find_item("a@corp.example", name="junkemail"), "a@corp.example")
        assert (reply.status, codes(reply)) == (200, ["ErrorFolderNotFound"])


class TestRestriction:
    def found(self, organisation: Organisation, restriction: str) -> int:
        reply = ask(organisation, find_item("a@corp.example", restriction=restriction), "a@corp.example")
        assert codes(reply) == ["NoError"]
        return len(item_ids(reply))

    @staticmethod
    def equal(path: str, value: str, name: str = "IsEqualTo") -> str:
        constant = f'<t:FieldURIOrConstant><t:Constant Value="{value}"/></t:FieldURIOrConstant>'
        return f"<t:{name}>{path}{constant}</t:{name}>"

    def test_an_extended_property_compares_without_regard_to_case(self, organisation: Organisation) -> None:
        assert self.found(organisation, self.equal(PROVIDER, "junkemailrule")) == 1

    def test_and_or_not_exists(self, organisation: Organisation) -> None:
        junk, other = self.equal(PROVIDER, "JunkEmailRule"), self.equal(PROVIDER, "RuleOrganizer")
        exists = f"<t:Exists>{PROVIDER}</t:Exists>"
        assert self.found(organisation, f"<t:Or>{junk}{other}</t:Or>") == 2
        assert self.found(organisation, f"<t:And>{junk}{other}</t:And>") == 0
        assert self.found(organisation, f"<t:Not>{exists}</t:Not>") == 3
        assert self.found(organisation, f"<t:And>{exists}<t:Not>{junk}</t:Not></t:And>") == 1

    def test_is_not_equal_to(self, organisation: Organisation) -> None:
        assert self.found(organisation, self.equal(PROVIDER, "JunkEmailRule", "IsNotEqualTo")) == 1

    @pytest.mark.parametrize(
        ("mode", "comparison", "text", "count"),
        [
            ("Substring", "IgnoreCase", "EXTENDEDRULE", 2),
            ("Substring", "Exact", "EXTENDEDRULE", 0),
            ("Prefixed", "Exact", "IPM.Conf", 3),
            ("FullString", "IgnoreCase", "ipm.extendedrule.message", 2),
            ("FullString", "Exact", "IPM.ExtendedRule", 0),
        ],
    )
    def test_contains(self, organisation: Organisation, mode: str, comparison: str, text: str, count: int) -> None:
        inner = f'<t:FieldURI FieldURI="item:ItemClass"/><t:Constant Value="{text}"/>'
        how = f'ContainmentMode="{mode}" ContainmentComparison="{comparison}"'
        assert self.found(organisation, f"<t:Contains {how}>{inner}</t:Contains>") == count

    @pytest.mark.parametrize(
        ("restriction", "code"),
        [
            ('<t:Excludes><t:FieldURI FieldURI="item:Size"/></t:Excludes>', "ErrorUnsupportedPathForQuery"),
            ('<t:Excludes><t:FieldURI FieldURI="item:Subject"/></t:Excludes>', "ErrorUnsupportedQueryFilter"),
            ("<t:Not/>", "ErrorInvalidRestriction"),
            ("<t:IsEqualTo/>", "ErrorInvalidRestriction"),
            ('<t:IsEqualTo><t:FieldURI FieldURI="item:Subject"/></t:IsEqualTo>', "ErrorUnsupportedQueryFilter"),
            ('<t:Exists><t:ExtendedFieldURI PropertyTag="x"/></t:Exists>', "ErrorInvalidPropertyRequest"),
        ],
    )
    def test_what_it_cannot_search_is_an_error(self, organisation: Organisation, restriction: str, code: str) -> None:
        reply = ask(organisation, find_item("a@corp.example", restriction=restriction), "a@corp.example")
        assert codes(reply) == [code]


class TestGetItem:
    def test_brings_the_whole_condition(self, organisation: Organisation) -> None:
        ids = junk_ids(organisation, "a@corp.example")
        reply = ask(organisation, get_item(ids, CONDITION), "a@corp.example")
        assert decode(base64.b64decode(values(reply, 0x0E9A)[0])) == LONG

    def test_answers_each_id_on_its_own(self, organisation: Organisation) -> None:
        ids = junk_ids(organisation, "a@corp.example")
        gone = item_id(mailbox_guid("a@corp.example"), 99)
        reply = ask(organisation, get_item([gone, *ids, "no id"]), "a@corp.example")
        assert codes(reply) == ["ErrorItemNotFound", "NoError", "ErrorInvalidIdMalformed"]

    def test_the_id_of_another_mailbox_is_denied(self, organisation: Organisation) -> None:
        reply = ask(organisation, get_item(junk_ids(organisation, "b@corp.example")), "a@corp.example")
        assert codes(reply) == ["ErrorAccessDenied"]

    def test_tags_are_hexadecimal_without_leading_zeros(self, organisation: Organisation) -> None:
        reply = ask(organisation, get_item(junk_ids(organisation, "a@corp.example"), CONDITION), "a@corp.example")
        assert b'PropertyTag="0xe9a"' in reply.body

    def test_a_property_that_is_not_there_is_left_out(self, organisation: Organisation) -> None:
        organisation.mailboxes["a@corp.example"].change_property(STATE, None)
        state = '<t:ExtendedFieldURI PropertyTag="0x65E9" PropertyType="Integer"/>'
        reply = ask(organisation, get_item(junk_ids(organisation, "a@corp.example"), state, NAME), "a@corp.example")
        assert (codes(reply), values(reply, 0x65E9), len(values(reply, 0x65EC))) == (["NoError"], [], 1)

    def test_decimal_tags_are_understood(self, organisation: Organisation) -> None:
        name = '<t:ExtendedFieldURI PropertyTag="26092" PropertyType="String"/>'
        reply = ask(organisation, get_item(junk_ids(organisation, "a@corp.example"), name), "a@corp.example")
        assert values(reply, 0x65EC) == ["Junk E-mail Rule"]


class TestIds:
    def test_an_item_id_names_the_mailbox_as_exchange_does(self, organisation: Organisation) -> None:
        raw = base64.b64decode(junk_ids(organisation, "a@corp.example")[0])
        assert raw[:4] == b"\x00\x03\x24\x00"
        assert raw[4:40].decode() == mailbox_guid("a@corp.example")

    def test_a_change_keeps_the_id_and_changes_the_key(self, organisation: Organisation) -> None:
        before = ask(organisation, find_item("b@corp.example"), "b@corp.example")
        organisation.mailboxes["b@corp.example"].set_rule(LONG)
        after = ask(organisation, find_item("b@corp.example"), "b@corp.example")
        assert item_ids(before) == item_ids(after)
        assert change_keys(before)[0] == change_keys(after)[0]
        assert change_keys(before)[1] != change_keys(after)[1]

    def test_a_rule_made_anew_has_another_id(self, organisation: Organisation) -> None:
        before = junk_ids(organisation, "b@corp.example")
        organisation.mailboxes["b@corp.example"].remove_rule()
        assert junk_ids(organisation, "b@corp.example") == []
        organisation.mailboxes["b@corp.example"].set_rule(SHORT)
        assert junk_ids(organisation, "b@corp.example") != before

    def test_the_same_organisation_has_the_same_ids_again(self) -> None:
        first, second = (Organisation.of([Mailbox("a@corp.example", SHORT)]) for _ in range(2))
        assert junk_ids(first, "a@corp.example") == junk_ids(second, "a@corp.example")

    def test_a_duplicate_is_one_more_rule(self, organisation: Organisation) -> None:
        late = datetime(2026, 6, 1, tzinfo=UTC)
        organisation.mailboxes["a@corp.example"].add_rule(SHORT, modified=late)
        modified = '<t:FieldURI FieldURI="item:LastModifiedTime"/>'
        reply = ask(organisation, find_item("a@corp.example", modified, PROVIDER), "a@corp.example")
        assert values(reply, 0x65EB).count("JunkEmailRule") == 2
        assert [e.text for e in reply.xml.iter(f"{{{TYPES}}}LastModifiedTime")][-1] == "2026-06-01T00:00:00Z"


class TestRights:
    def test_a_denied_impersonation_is_a_soap_fault(self, organisation: Organisation) -> None:
        organisation.mailboxes["a@corp.example"].impersonation = False
        reply = ask(organisation, find_item("a@corp.example"), "a@corp.example")
        assert (reply.status, codes(reply)) == (500, ["ErrorImpersonateUserDenied"])

    def test_an_unknown_impersonated_mailbox_is_a_soap_fault(self, organisation: Organisation) -> None:
        reply = ask(organisation, find_item("x@corp.example"), "x@corp.example")
        assert (reply.status, codes(reply)) == (500, ["ErrorNonExistentMailbox"])

    def test_an_unknown_mailbox_of_a_folder_is_a_message(self, organisation: Organisation) -> None:
        reply = ask(organisation, find_item("x@corp.example"))
        assert (reply.status, codes(reply)) == (200, ["ErrorNonExistentMailbox"])

    def test_a_delegate_reads_where_it_has_the_right(self, organisation: Organisation) -> None:
        organisation.mailboxes["b@corp.example"].delegate = False
        assert codes(ask(organisation, find_item("a@corp.example"))) == ["NoError"]
        assert codes(ask(organisation, find_item("b@corp.example"))) == ["ErrorAccessDenied"]

    def test_an_account_without_mailbox_must_name_one(self, organisation: Organisation) -> None:
        assert codes(ask(organisation, find_item(None))) == ["ErrorMissingEmailAddress"]

    def test_impersonation_alone_names_the_mailbox(self, organisation: Organisation) -> None:
        reply = ask(organisation, find_item(None, PROVIDER), "b@corp.example")
        assert item_ids(reply)[1:] == junk_ids(organisation, "b@corp.example")

    def test_impersonating_one_does_not_open_another(self, organisation: Organisation) -> None:
        assert codes(ask(organisation, find_item("b@corp.example"), "a@corp.example")) == ["ErrorAccessDenied"]

    def test_a_secondary_address_is_not_a_primary_one(self, organisation: Organisation) -> None:
        reply = ask(organisation, find_item(None), "alias@corp.example")
        assert (reply.status, codes(reply)) == (500, ["ErrorNonPrimarySmtpAddress"])
        assert b'<t:Value Name="Primary">a@corp.example</t:Value>' in reply.body

    def test_an_empty_impersonation_header_is_refused(self, organisation: Organisation) -> None:
        assert codes(ask(organisation, find_item(None), " ", "X")) == ["ErrorInvalidExchangeImpersonationHeaderData"]

    @pytest.mark.parametrize("kind", ["SmtpAddress", "PrincipalName"])
    def test_a_secondary_address_serves_as_smtp_address(self, organisation: Organisation, kind: str) -> None:
        reply = ask(organisation, find_item("a@corp.example"), "alias@corp.example", kind)
        assert codes(reply) == ["NoError"]

    def test_a_mailbox_may_be_named_by_its_sid(self, organisation: Organisation) -> None:
        sid = organisation.mailboxes["a@corp.example"].sid
        assert codes(ask(organisation, find_item("a@corp.example"), sid, "SID")) == ["NoError"]
        assert codes(ask(organisation, find_item("b@corp.example"), sid, "SID")) == ["ErrorAccessDenied"]


class TestDirectory:
    def test_a_group_expands_by_one_level(self, organisation: Organisation) -> None:
        reply = ask(organisation, client.expand_dl("ALL@corp.example"))
        found = [
            (m.findtext("t:EmailAddress", "", client.NS), m.findtext("t:MailboxType", "", client.NS))
            for m in reply.xml.iter(f"{{{TYPES}}}Mailbox")
        ]
        assert found == [("a@corp.example", "Mailbox"), ("all@corp.example", "PublicDL")]

    @pytest.mark.parametrize("address", ["nobody@corp.example", "a@corp.example"])
    def test_what_is_no_group_has_no_results(self, organisation: Organisation, address: str) -> None:
        assert codes(ask(organisation, client.expand_dl(address))) == ["ErrorNameResolutionNoResults"]

    @pytest.mark.parametrize(
        ("entry", "code", "count"),
        [
            ("b@", "NoError", 1),
            ("a", "ErrorNameResolutionMultipleResults", 2),
            ("smtp:a@corp.example", "NoError", 1),
            ("smtp:a", "ErrorNameResolutionNoResults", 0),
            ("zz", "ErrorNameResolutionNoResults", 0),
        ],
    )
    def test_names_resolve(self, organisation: Organisation, entry: str, code: str, count: int) -> None:
        reply = ask(organisation, client.resolve_names(entry))
        assert codes(reply) == [code]
        assert len(list(reply.xml.iter(f"{{{TYPES}}}Resolution"))) == count

    def test_at_most_a_hundred_candidates(self) -> None:
        reply = ask(generated(150, 1), client.resolve_names("user"))
        resolutions = reply.xml.find(".//m:ResolutionSet", client.NS)
        assert resolutions is not None
        assert (len(resolutions), resolutions.get("IncludesLastItemInRange")) == (100, "false")


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", "ErrorSchemaValidation"),
            (b"no xml", "ErrorSchemaValidation"),
            (b"<a/>", "ErrorInvalidRequest"),
            (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "ErrorSchemaValidation"),
            (client.envelope("", version="Exchange2013"), "ErrorInvalidRequest"),
            (client.envelope("<m:DeleteItem/>", version="Exchange2013"), "ErrorInvalidRequest"),
            (client.envelope("<m:FindItem/>", version="Exchange2099"), "ErrorInvalidServerVersion"),
        ],
    )
    def test_what_is_no_request_gets_a_fault(self, organisation: Organisation, body: bytes, code: str) -> None:
        _, answered = answer(organisation, body)
        assert answered.status == 500
        assert f">{code}<".encode() in answered.body

    @given(st.binary(max_size=200))
    def test_any_bytes_get_a_fault(self, body: bytes) -> None:
        _, answered = answer(Organisation(), body)
        assert answered.status == 500
        assert answered.body.startswith(b"<?xml")

    @given(st.data())
    def test_a_damaged_request_is_answered(self, data: st.DataObject) -> None:
        organisation = Organisation.of([Mailbox("a@corp.example", b"\0\0")])
        whole = client.envelope(
            find_item("a@corp.example", PROVIDER, page=(0, 9)), as_user="a@corp.example", version="Exchange2013"
        )
        at = data.draw(st.integers(0, len(whole) - 1))
        length = data.draw(st.integers(0, 60))
        damaged = (
            whole[:at] + data.draw(st.sampled_from([b"", b"x", b"-1", b"<t:Not/>", b"\xff"])) + whole[at + length :]
        )
        _, answered = answer(organisation, damaged)
        assert answered.status in (200, 500)
        assert b"ResponseCode>" in answered.body or b"<m:ResponseMessages></m:ResponseMessages>" in answered.body


class TestFaultsInAnswers:
    def fetched(self, organisation: Organisation, fault: Fault) -> client.Reply:
        ids = junk_ids(organisation, "a@corp.example")
        organisation.mailboxes["a@corp.example"].faults.append(fault)
        return ask(organisation, get_item(ids, CONDITION, PROVIDER), "a@corp.example")

    def test_server_busy_as_a_soap_fault(self, organisation: Organisation) -> None:
        reply = self.fetched(organisation, Fault(Trouble.SERVER_BUSY, back_off_ms=1500))
        assert (reply.status, codes(reply)) == (500, ["ErrorServerBusy"])
        assert b'<t:Value Name="BackOffMilliseconds">1500</t:Value>' in reply.body

    def test_server_busy_without_a_hint(self, organisation: Organisation) -> None:
        assert b"BackOffMilliseconds" not in self.fetched(organisation, Fault(Trouble.SERVER_BUSY)).body

    def test_server_busy_inside_a_message(self, organisation: Organisation) -> None:
        reply = self.fetched(organisation, Fault(Trouble.SERVER_BUSY_INNER, back_off_ms=10))
        assert (reply.status, codes(reply)) == (200, ["ErrorInternalServerError"])
        named = {e.get("Name"): e.text for e in reply.xml.iter(f"{{{TYPES}}}Value")}
        assert named["InnerErrorResponseCode"] == "ErrorServerBusy"
        assert named["BackOffMilliseconds"] == "10"

    @pytest.mark.parametrize(
        ("fault", "status", "code"),
        [
            (Fault(Trouble.CONNECTION_COUNT), 500, "ErrorExceededConnectionCount"),
            (Fault(Trouble.SERVER_VERSION), 500, "ErrorInvalidServerVersion"),
            (Fault(Trouble.SOAP_FAULT, code="ErrorNonExistentMailbox"), 500, "ErrorNonExistentMailbox"),
            (Fault(Trouble.MESSAGE_ERROR, code="ErrorMailboxMoveInProgress"), 200, "ErrorMailboxMoveInProgress"),
            (Fault(Trouble.MESSAGE_ERROR, code="ErrorItemNotFound"), 200, "ErrorItemNotFound"),
        ],
    )
    def test_a_code_of_choice(self, organisation: Organisation, fault: Fault, status: int, code: str) -> None:
        reply = self.fetched(organisation, fault)
        assert (reply.status, codes(reply)) == (status, [code])

    def test_an_empty_binary(self, organisation: Organisation) -> None:
        reply = self.fetched(organisation, Fault(Trouble.EMPTY_BINARY))
        assert b"<t:Value></t:Value>" in reply.body
        assert values(reply, 0x65EB) == ["JunkEmailRule"]

    def test_a_missing_condition(self, organisation: Organisation) -> None:
        reply = self.fetched(organisation, Fault(Trouble.MISSING_CONDITION))
        assert (values(reply, 0x0E9A), values(reply, 0x65EB)) == ([], ["JunkEmailRule"])

    def test_garbage_instead_of_base64(self, organisation: Organisation) -> None:
        value = values(self.fetched(organisation, Fault(Trouble.GARBAGE_BASE64)), 0x0E9A)[0]
        with pytest.raises(ValueError):
            base64.b64decode(value, validate=True)

    def test_a_truncated_condition(self, organisation: Organisation) -> None:
        value = values(self.fetched(organisation, Fault(Trouble.TRUNCATED, size=100)), 0x0E9A)[0]
        assert base64.b64decode(value) == encode(LONG)[:100]

    def test_another_mailboxs_answer(self, organisation: Organisation) -> None:
        fault = Fault(Trouble.OTHER_MAILBOX, other="b@corp.example", times=2)
        organisation.mailboxes["a@corp.example"].faults.append(fault)
        found = ask(organisation, find_item("a@corp.example"), "a@corp.example")
        assert item_ids(found)[1:] == junk_ids(organisation, "b@corp.example")
        reply = ask(organisation, get_item(item_ids(found)[1:], CONDITION), "a@corp.example")
        assert decode(base64.b64decode(values(reply, 0x0E9A)[0])) == SHORT

    def test_another_mailboxs_item_that_is_not_there(self, organisation: Organisation) -> None:
        reply = self.fetched(organisation, Fault(Trouble.OTHER_MAILBOX, other="empty@corp.example"))
        assert codes(reply) == ["ErrorItemNotFound"]

    def test_a_name_that_xml_cannot_hold(self, organisation: Organisation) -> None:
        organisation.mailboxes["a@corp.example"].set_rule(LONG, name="a\x00<&\ud800\u2603")
        reply = ask(organisation, get_item(junk_ids(organisation, "a@corp.example"), NAME), "a@corp.example")
        assert b"<t:Value>a&#x0;&lt;&amp;&#xD800;\xe2\x98\x83</t:Value>" in reply.body

    def test_another_mailboxs_item_for_an_id_of_this_one(self, organisation: Organisation) -> None:
        reply = self.fetched(organisation, Fault(Trouble.OTHER_MAILBOX, other="b@corp.example"))
        assert item_ids(reply) == junk_ids(organisation, "b@corp.example")


class TestGenerated:
    def test_twenty_thousand_mailboxes_answer_with_stable_ids(self) -> None:
        organisation = generated(20_000, 20)
        first = junk_ids(organisation, "user019999@corp.example")
        for number in range(300):
            assert len(organisation.mailboxes[f"user{number:06}@corp.example"].items) == 5
        reply = ask(organisation, get_item(first, CONDITION), "user019999@corp.example")
        assert len(decode(base64.b64decode(values(reply, 0x0E9A)[0])).safe_senders) == 20

    @pytest.mark.parametrize(
        "address", ["user020000@corp.example", "user1@corp.example", "x", "user000001@else.example"]
    )
    def test_no_others(self, address: str) -> None:
        organisation = generated(20_000, 1)
        assert organisation.find(address) is None
        assert address not in organisation.mailboxes

    def test_mailboxes_come_and_go(self) -> None:
        organisation = Organisation.of([Mailbox("a@corp.example")])
        organisation.add(Mailbox("New@corp.example", SHORT))
        assert codes(ask(organisation, get_item(junk_ids(organisation, "new@corp.example")))) == ["NoError"]
        organisation.remove("NEW@corp.example")
        assert organisation.find("new@corp.example") is None
