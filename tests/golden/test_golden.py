"""What people see, and what goes over the wires, is what was recorded."""

import pytest

from tests.golden.__main__ import differences, recorded

pytestmark = pytest.mark.soak


def test_every_play_and_card_is_as_it_was_recorded():
    assert differences(recorded()) == []
