"""What every soak test may ask for."""

from __future__ import annotations

import pytest

from tests.soak.options import SOAK, Soak


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> Soak:
    return request.config.stash[SOAK]
