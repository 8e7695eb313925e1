"""Values of the mail configuration: what is accepted, what a change asks for, what differs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.mail_config import (
    FieldChange,
    MailConfig,
    Patch,
    Wanted,
    diff_reset,
    diff_set,
    differences,
    domain_of,
    is_in_place,
    key_summary,
)
from bot.domain.typed import (
    clean_address,
    clean_cname_status,
    clean_key_size,
    clean_name,
    clean_reason,
)
from bot.errors import BadValue, InputError
from tests.fakes import KEYS, config, dkim_value

BASE = config()
MOVED: list[dict[str, str]] = [
    {"email_id": "x@acme.example"},
    {"email_id": "Scott@acme.example"},
    {"name": "X"},
    {"cname_status": "not_verified"},
    {"dkim_host": "1._domainkey.acme.example"},
    {"dkim_value": dkim_value(1024, 1)},
    {"dkim_value": ""},
]
STAYED: list[dict[str, str]] = [
    {"dkim_status": "not_verified"},
    {"dkim_host": f"{BASE.dkim_host.upper()}."},
    {"email_id": "scott@ACME.example."},
]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("scott@acme.example", "scott@acme.example"),
        ("  Scott.Fisher+zoho@ACME.Example ", "Scott.Fisher+zoho@acme.example"),
        ("scott@münchen.example", "scott@xn--mnchen-3ya.example"),
        ("scott@acme。example", "scott@acme.example"),
        ("scott@acme.example.", "scott@acme.example"),
        ("o'neill@acme.example", "o'neill@acme.example"),
    ],
)
def test_an_address_is_normalised(typed: str, kept: str):
    assert clean_address(typed) == kept


LOCAL_PART = "use letters, digits, dots, - + and _."
DOTS = "at most 64 characters, no dot at either end and no two in a row."


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("scott", "`scott` is no address. Try `email=scott@acme.example`."),
        ("@acme.example", "`@acme.example` is no address. Try `email=scott@acme.example`."),
        ("a@b@acme.example", "`a@b@acme.example` is no address. Try `email=scott@acme.example`."),
        ("", "`` is no address. Try `email=scott@acme.example`."),
        ("sc ott@acme.example", f"`sc ott` cannot stand before the @: {LOCAL_PART}"),
        ("scött@acme.example", f"`scött` cannot stand before the @: {LOCAL_PART}"),
        ("a,b@acme.example", f"`a,b` cannot stand before the @: {LOCAL_PART}"),
        (".scott@acme.example", f"`.scott` cannot stand before the @: {DOTS}"),
        ("scott.@acme.example", f"`scott.` cannot stand before the @: {DOTS}"),
        ("a..b@acme.example", f"`a..b` cannot stand before the @: {DOTS}"),
        ("x" * 65 + "@acme.example", f"`{'x' * 65}` cannot stand before the @: {DOTS}"),
        ("scott@acme", "The domain `acme` has no dot. Try `email=scott@acme.example`."),
        ("scott@", "`` is no domain name."),
        ("scott@-acme.example", "`-acme.example` is no domain name."),
        ("scott@ac_me.example", "`ac_me.example` is no domain name."),
        ("scott@" + "a" * 64 + ".example", f"`{'a' * 64}.example` is no domain name."),
        (
            "x" * 60 + "@" + ".".join(["a" * 60] * 3) + ".acme.example",
            "The address has 256 characters; 254 is the most.",
        ),
        (
            "scott\u202e@acme.example",
            "The address contains an invisible character (U+202E); retype it without.",
        ),
        (
            "scott@acme.example\r\nBcc: x",
            "The address contains an invisible character (U+000D); retype it without.",
        ),
    ],
)
def test_an_address_that_must_not_reach_the_api_is_refused(typed: str, sentence: str):
    with pytest.raises(BadValue) as caught:
        clean_address(typed)

    assert (caught.value.field, str(caught.value)) == ("email_id", sentence)


def test_a_domain_that_is_too_long_is_refused():
    with pytest.raises(BadValue, match="is no domain name"):
        clean_address("scott@" + ".".join(["a" * 60] * 5))


def test_a_name_is_trimmed_and_composed():
    assert clean_name("  Rene\u0301\N{NO-BREAK SPACE}Fisher ") == "René Fisher"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("  ", 'The display name is empty. Try `name="Scott Fisher"`.'),
        ("x" * 201, "The display name has 201 characters; 200 is the most."),
        (
            "Scott\nFisher",
            "The display name contains an invisible character (U+000A); retype it without.",
        ),
        (
            "Scott\u2066Fisher",
            "The display name contains an invisible character (U+2066); retype it without.",
        ),
        (
            "Scott\u200bFisher",
            "The display name contains an invisible character (U+200B); retype it without.",
        ),
        (
            "Scott\ud800",
            "The display name contains an invisible character (U+D800); retype it without.",
        ),
    ],
)
def test_a_name_that_could_deceive_is_refused(typed: str, sentence: str):
    with pytest.raises(BadValue) as caught:
        clean_name(typed)

    assert (caught.value.field, str(caught.value)) == ("name", sentence)


def test_a_name_may_have_two_hundred_characters():
    assert clean_name("x" * 200) == "x" * 200


def test_a_reason_may_have_lines():
    assert clean_reason("first\n\tsecond ") == "first\n\tsecond"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (None, 'A reason is needed. Add `reason="…"`: approvers read it.'),
        (" \n", 'A reason is needed. Add `reason="…"`: approvers read it.'),
        ("x" * 2001, "The reason has 2001 characters; 2000 is the most."),
        ("a\x00b", "The reason contains an invisible character (U+0000); retype it without."),
    ],
)
def test_a_bad_reason_is_refused(typed: str | None, sentence: str):
    with pytest.raises(BadValue) as caught:
        clean_reason(typed)

    assert (caught.value.field, str(caught.value)) == ("reason", sentence)


@pytest.mark.parametrize("typed", [1024, "1024", " 1024 "])
def test_a_key_size_is_a_number_that_zoho_offers(typed: str | int):
    assert clean_key_size(typed) == 1024


@pytest.mark.parametrize("typed", [512, 4096, "0x400", "1024.0", "", True, "²"])
def test_another_key_size_is_refused(typed: str | int):
    with pytest.raises(BadValue, match="is no DKIM key size that Zoho offers"):
        clean_key_size(typed)


@pytest.mark.parametrize("typed", ["not_verified", "Not Verified", "not-verified"])
def test_a_cname_status_is_read_however_it_is_typed(typed: str):
    assert clean_cname_status(typed) == "not_verified"


def test_the_domain_of_an_address_is_its_a_label():
    assert domain_of("a@MÜNCHEN.example") == "xn--mnchen-3ya.example"
    assert domain_of("a@not a domain") == "not a domain"


def test_a_patch_is_sent_over_what_is_there():
    wanted = Patch.of(name="IT").over(BASE)

    assert wanted == Wanted("IT", "scott@acme.example", "verified", None, asked=("name",))


def test_another_domain_takes_the_word_verified_back():
    assert Patch.of(email_id="it@other.example").over(BASE).cname_status == "not_verified"
    assert Patch.of(email_id="it@acme.example").over(BASE).cname_status == "verified"


def test_an_unknown_cname_status_is_never_sent_back():
    odd = replace(BASE, cname_status="pending")

    assert Patch.of(name="IT").over(odd).cname_status == "not_verified"


@pytest.mark.parametrize(
    ("patch", "sentence"),
    [
        (Patch(name="IT"), "No custom sender is set yet, so `email=…` is needed as well."),
        (
            Patch(email_id="it@acme.example"),
            "No custom sender is set yet, so `name=…` is needed as well.",
        ),
        (
            Patch(dkim_key_size=2048),
            "No custom sender is set yet, so `email=…` and `name=…` are needed as well.",
        ),
    ],
)
def test_a_first_sender_needs_an_address_and_a_name(patch: Patch, sentence: str):
    with pytest.raises(InputError) as caught:
        patch.over(None)

    assert str(caught.value) == sentence


def test_the_diff_names_each_field_that_would_change():
    wanted = Patch.of(
        email_id="it@other.example", name="IT", dkim_key_size=2048, cname_status="verified"
    ).over(replace(BASE, cname_status="not_verified"))

    assert diff_set(replace(BASE, cname_status="not_verified"), wanted) == (
        FieldChange("email_id", "scott@acme.example", "it@other.example"),
        FieldChange("name", "Scott Fisher", "IT"),
        FieldChange("dkim_key_size", "1024 bits", "2048 bits"),
        FieldChange("cname_status", "not_verified", "verified", "stated"),
    )


def test_the_cname_status_that_follows_a_new_domain_is_a_line_of_the_diff():
    wanted = Patch.of(email_id="scott@other.example").over(BASE)

    assert diff_set(BASE, wanted)[1] == FieldChange(
        "cname_status", "verified", "not_verified", "follows"
    )


def test_what_is_already_so_is_no_change():
    wanted = Patch.of(name="Scott Fisher", email_id="scott@ACME.example", dkim_key_size=1024)

    assert diff_set(BASE, wanted.over(BASE)) == ()


def test_a_first_sender_is_all_new():
    wanted = Patch.of(email_id="it@acme.example", name="IT", dkim_key_size=1024).over(None)

    assert diff_set(None, wanted) == (
        FieldChange("email_id", None, "it@acme.example"),
        FieldChange("name", None, "IT"),
        FieldChange("dkim_key_size", None, "1024 bits"),
        FieldChange("cname_status", None, "not_verified", "follows"),
    )


def test_a_reset_shows_what_is_lost():
    assert diff_reset(BASE) == (
        FieldChange("email_id", "scott@acme.example", None),
        FieldChange("name", "Scott Fisher", None),
        FieldChange("dkim_value", key_summary(BASE), None),
        FieldChange("cname_status", "verified", None),
    )


def wanted(**asked: str | int) -> Wanted:
    return Patch.of(**asked).over(BASE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "live", "unmet"),
    [
        ({"name": "IT"}, replace(BASE, name="IT"), ()),
        ({"name": "IT"}, BASE, ("name",)),
        ({"name": "IT"}, replace(BASE, name="IT", cname_status="not_verified"), ()),
        ({"name": "IT"}, replace(BASE, name="IT", email_id="evil@acme.example"), ("email_id",)),
        ({"email_id": "it@acme.example"}, replace(BASE, email_id="IT@acme.example"), ()),
        ({"email_id": "it@acme.example"}, BASE, ("email_id",)),
        ({"cname_status": "not_verified"}, BASE, ("cname_status",)),
        ({"cname_status": "not_verified"}, replace(BASE, cname_status="not_verified"), ()),
        ({"dkim_key_size": 2048}, BASE, ("dkim_key_size",)),
        ({"dkim_key_size": 2048}, config(bits=2048), ()),
        ({"dkim_key_size": 2048}, config(bits=1024, which=1), ()),
        ({"name": "IT"}, None, ("name", "email_id")),
    ],
)
def test_a_target_is_reached_when_what_was_asked_for_is_live(
    asked: dict[str, str], live: MailConfig | None, unmet: tuple[str, ...]
):
    assert wanted(**asked).unmet(live, BASE) == unmet


def test_a_first_key_counts_as_soon_as_there_is_one():
    first = Patch.of(email_id="it@acme.example", name="IT", dkim_key_size=2048).over(None)
    live = config("it@acme.example", "IT", bits=1024)

    assert first.unmet(live, None) == ()
    assert first.unmet(replace(live, dkim_value=""), None) == ("dkim_key_size",)


def test_a_reached_target_warns_of_what_came_out_differently():
    live = config(name="Other", bits=1024, which=1, cname_status="not_verified")

    assert wanted(dkim_key_size=2048).warnings(live) == (
        "Cliq made a key of 1024 bits, 2048 were asked for.",
        "Cliq also changed the display name to 'Other'.",
        "Cliq also changed the CNAME status to 'not_verified'.",
    )


def test_a_new_key_is_expected_for_another_domain_or_size():
    assert wanted(email_id="a@other.example").issues_new_key(BASE)
    assert wanted(dkim_key_size=2048).issues_new_key(BASE)
    assert wanted(name="IT").issues_new_key(None)
    assert not wanted(name="IT", dkim_key_size=1024).issues_new_key(BASE)


@pytest.mark.parametrize(
    ("base", "live", "is_there"),
    [
        *((BASE, replace(BASE, **moved), False) for moved in MOVED),
        *((BASE, replace(BASE, **moved), True) for moved in STAYED),
        (replace(BASE, dkim_value="nothing"), replace(BASE, dkim_value="something else"), False),
        (None, None, True),
        (BASE, None, False),
        (None, BASE, False),
    ],
)
def test_a_base_is_in_place_until_anything_but_its_dkim_status_has_moved(
    base: MailConfig | None, live: MailConfig | None, is_there: bool
):
    assert is_in_place(base, live) is is_there


def test_two_configurations_are_compared_field_by_field():
    new = config("it@other.example", "IT", bits=2048, cname_status="not_verified", selector="2")

    assert differences(BASE, new) == (
        FieldChange("email_id", "scott@acme.example", "it@other.example"),
        FieldChange("name", "Scott Fisher", "IT"),
        FieldChange("dkim_host", BASE.dkim_host, new.dkim_host),
        FieldChange("cname_status", "verified", "not_verified"),
        FieldChange("dkim_value", key_summary(BASE), key_summary(new)),
    )
    assert differences(BASE, BASE) == ()
    assert differences(None, None) == ()
    assert len(differences(BASE, None)) == 5


def test_a_key_is_summarised_by_size_and_fingerprint():
    mark = KEYS["1024"][0][-14:-6]

    assert key_summary(BASE) == f"1024 bits, …{mark}"
    assert key_summary(replace(BASE, dkim_value="p=")) == "unreadable"
    assert key_summary(replace(BASE, dkim_value="")) is None
    assert key_summary(None) is None


def test_stored_values_come_back_as_they_were():
    target = wanted(name="IT", dkim_key_size=2048)

    assert MailConfig.from_dict(BASE.as_dict()) == BASE
    assert Wanted.from_dict(target.as_dict()) == target


def test_a_form_sends_name_and_address_back_unasked():
    sent_back = Patch.of(name="IT", email_id="scott@ACME.example")

    assert sent_back.beyond(BASE) == Patch(name="IT")
    assert sent_back.beyond(None) == sent_back


def test_a_key_size_or_status_that_was_chosen_in_a_form_is_kept():
    """With another domain both start anew, so what is live is no reason to drop them."""
    chosen = Patch.of(email_id="it@other.example", cname_status="verified", dkim_key_size=1024)

    assert chosen.beyond(BASE) == chosen
