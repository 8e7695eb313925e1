"""What people type after `/mailcfg`, and the sentence for each way to get it wrong."""

from __future__ import annotations

import pytest

from bot.domain.command import (
    Accept,
    Check,
    Command,
    Dns,
    Help,
    History,
    HistoryOf,
    Pending,
    Reset,
    Set,
    SetForm,
    Show,
    Undo,
    Withdraw,
    parse,
)
from bot.domain.mail_config import Patch
from bot.errors import BadValue, InputError, MailcfgError, UnknownSubcommand

NBSP = "\N{NO-BREAK SPACE}"
RENAMED = Set(Patch(name="Scott Fisher"), "new boss")
MOVED = Set(Patch(email_id="scott@acme.example"), "new boss")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("", Help()),
        ("   ", Help()),
        ("help", Help()),
        ("help me please", Help()),
        ("show", Show()),
        ("  SHOW  ", Show()),
        ("pending", Pending()),
        ("withdraw", Withdraw()),
        ("cancel", Withdraw()),
        ("check", Check()),
        ("Diagnose", Check()),
        ("dns", Dns()),
        ("set", SetForm()),
        (f"set{NBSP}", SetForm()),
        ('reset reason="we close"', Reset("we close")),
        ("accept reason=reviewed", Accept("reviewed")),
        ("history", History(5)),
        ("history 20", History(20)),
        ("history 1", History(1)),
        ("history #42", HistoryOf(42)),
        ("undo 42", Undo(42)),
        ("undo #42", Undo(42)),
        ("rollback 42", Undo(42)),
        ('undo 42 reason="customers complain"', Undo(42, "customers complain")),
    ],
)
def test_a_subcommand_is_understood(typed: str, meant: Command):
    assert parse(typed) == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ('set name="Scott Fisher" reason="new boss"', RENAMED),
        ("set name=“Scott Fisher” reason=“new boss”", RENAMED),
        ("set name=„Scott Fisher“ reason=”new boss”", RENAMED),
        ("set name=«Scott Fisher» reason=‘new boss’", RENAMED),
        ("set name='Scott Fisher' reason='new boss'", RENAMED),
        ('set NAME = "Scott Fisher"   Reason = "new boss"', RENAMED),
        (f'set name="Scott{NBSP}Fisher"{NBSP}reason="new{NBSP}boss"', RENAMED),
        ('set\tname="Scott Fisher"\nreason="new boss"', RENAMED),
        ('set email=scott@acme.example reason="new boss"', MOVED),
        ('set email_id=SCOTT@ACME.example reason="new boss"', Set(Patch(email_id="SCOTT@acme.example"), "new boss")),
        ('set email=<mailto:scott@acme.example|scott@acme.example> reason="new boss"', MOVED),
        ('set email=<mailto:scott@acme.example> reason="new boss"', MOVED),
        ('set email=scott@<http://acme.example|acme.example> reason="new boss"', MOVED),
        ("set dkim=2048 reason=stronger", Set(Patch(dkim_key_size=2048), "stronger")),
        ("set bits=1024 reason=weaker", Set(Patch(dkim_key_size=1024), "weaker")),
        ("set cname=verified reason=set", Set(Patch(cname_status="verified"), "set")),
        ("set cname='not verified' reason=gone", Set(Patch(cname_status="not_verified"), "gone")),
        ("set name='Scott's mail' reason=x", Set(Patch(name="Scott's mail"), "x")),
        ('set name="R&amp;D" reason="a &lt; b"', Set(Patch(name="R&D"), "a < b")),
        (
            "set name=Support reason=<https://tickets.example/7>",
            Set(Patch(name="Support"), "https://tickets.example/7"),
        ),
    ],
)  # fmt: skip
def test_arguments_are_read_as_people_type_them(typed: str, meant: Command):
    assert parse(typed) == meant


def test_every_field_can_be_set_at_once():
    typed = 'set name="Scott Fisher" email=scott@acme.example dkim=2048 cname=verified reason=all'

    patch = Patch("Scott Fisher", "scott@acme.example", 2048, "verified")
    assert parse(typed) == Set(patch, "all")


FIELDS = "`name`, `email`, `dkim`, `cname` and `reason`"


@pytest.mark.parametrize(
    ("typed", "kind", "sentence"),
    [
        ("shwo", UnknownSubcommand, "I do not know `shwo`. Did you mean `/mailcfg show`?"),
        ("cancle", UnknownSubcommand, "I do not know `cancle`. Did you mean `/mailcfg withdraw`?"),
        ("frobnicate", UnknownSubcommand, "I do not know `frobnicate`. Try `/mailcfg help`."),
        ("show all", InputError, "`/mailcfg show` takes nothing after it; leave out `all`."),
        (
            "set emial=a@acme.example",
            InputError,
            "I do not know the field `emial`. Did you mean `email=…`?",
        ),
        (
            "set colour=red",
            InputError,
            f"I do not know the field `colour`. There are {FIELDS}.",
        ),
        (
            "set name=Scott Fisher reason=x",
            InputError,
            "I do not understand `Fisher`. If it belongs to the name, quote it: "
            '`name="Scott Fisher"`.',
        ),
        (
            "set scott@acme.example",
            InputError,
            "I do not understand `scott@acme.example`. Fields are written `name=…`; there are "
            f"{FIELDS}.",
        ),
        (
            "set name=Scott reason=x =y",
            InputError,
            'I do not understand `=y`. If it belongs to the reason, quote it: `reason="x =y"`.',
        ),
        (
            'set name="Scott',
            InputError,
            "A quote is opened before `Scott` and never closed.",
        ),
        (
            "set reason=because",
            InputError,
            "Nothing to change is named. Try `/mailcfg set email=scott@acme.example`.",
        ),
        (
            "set name=Scott name=Bob reason=x",
            BadValue,
            "`name` is given twice. Which one is meant?",
        ),
        (
            "set email=a@acme.example email_id=b@acme.example",
            BadValue,
            "`email_id` is given twice. Which one is meant?",
        ),
        (
            "set name= email=a@acme.example",
            BadValue,
            "`name=` has no value; after it comes `email=a@acme.example`.",
        ),
        (
            "set email=a@acme.example",
            BadValue,
            'A reason is needed. Add `reason="…"`: approvers read it.',
        ),
        ("reset", BadValue, 'A reason is needed. Add `reason="…"`: approvers read it.'),
        (
            "reset name=x reason=y",
            InputError,
            '`/mailcfg reset` takes a reason only: `/mailcfg reset reason="…"`. '
            "To change a field, use `/mailcfg set`.",
        ),
        (
            "history 21",
            InputError,
            "At most 20 requests are listed at once. For the story of request #21 write `/mailcfg "
            "history #21`.",
        ),
        *(
            (
                f"history {typed}",
                InputError,
                f"I do not understand `{typed}`. `/mailcfg history 10` lists the newest ten, "
                "`/mailcfg history #42` tells the whole story of request #42.",
            )
            for typed in ("all", "#", "0", "-1", "1 2", "²", "99999999999")
        ),
        *(
            (
                typed,
                InputError,
                "Which request? `/mailcfg undo 42` asks to set back what #42 changed; `/mailcfg "
                "history` lists the newest.",
            )
            for typed in ("undo", "undo it", "undo reason=x", "rollback #")
        ),
        ("undo 42 reason=", BadValue, 'A reason is needed. Add `reason="…"`: approvers read it.'),
        (
            "accept because it is right",
            InputError,
            '`/mailcfg accept` takes a reason only: `/mailcfg accept reason="…"`. '
            "To change a field, use `/mailcfg set`.",
        ),
        (
            "undo 42 43",
            InputError,
            '`/mailcfg undo` takes a reason only: `/mailcfg undo 42 reason="…"`. '
            "To change a field, use `/mailcfg set`.",
        ),
        (
            "undo 42 name=x",
            InputError,
            '`/mailcfg undo` takes a reason only: `/mailcfg undo 42 reason="…"`. '
            "To change a field, use `/mailcfg set`.",
        ),
        (
            "set dkim=512 reason=x",
            BadValue,
            "`512` is no DKIM key size that Zoho offers. It is `dkim=2048` or `dkim=1024`.",
        ),
        (
            "set cname=maybe reason=x",
            BadValue,
            "`maybe` is no CNAME status. It is `cname=verified` or `cname=not_verified`.",
        ),
        (
            "set email=scott@localhost reason=x",
            BadValue,
            "The domain `localhost` has no dot. Try `email=scott@acme.example`.",
        ),
    ],
)
def test_bad_input_is_answered_with_what_was_wrong_and_the_right_form(
    typed: str, kind: type[MailcfgError], sentence: str
):
    with pytest.raises(kind) as caught:
        parse(typed)

    assert type(caught.value) is kind
    assert str(caught.value) == sentence


def test_a_long_mistake_is_quoted_in_short():
    with pytest.raises(UnknownSubcommand) as caught:
        parse("x" * 500)

    assert str(caught.value) == f"I do not know `{'x' * 79}…`. Try `/mailcfg help`."
