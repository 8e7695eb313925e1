from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from cliq_bench import Zoho, served_zoho


@pytest.fixture
async def zoho() -> AsyncIterator[Zoho]:
    async with served_zoho() as it:
        yield it
