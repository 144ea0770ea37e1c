"""The documents as a node with ordinary budgets has them."""

from typing import Any

import pytest

from protocol.catalogue import Rate
from server.documents import asyncapi, openapi
from server.documents.budgets import Rates

RATES: Rates = {Rate.BETS: (100, 100), Rate.COMMANDS: (20, 20), Rate.SIGN_IN: (10 / 60, 10)}


@pytest.fixture(scope="session")
def rates() -> Rates:
    return RATES


@pytest.fixture(scope="session")
def openapi_document(rates: Rates) -> dict[str, Any]:
    return openapi.build(rates)


@pytest.fixture(scope="session")
def asyncapi_document(rates: Rates) -> dict[str, Any]:
    return asyncapi.build(rates)
