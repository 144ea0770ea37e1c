"""A bet leaves its request id in every stage's log line, where that is asked for."""

import logging

import pytest

from tests.floor.house import House, bet


@pytest.fixture(autouse=True)
def debugging(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("server.router", "server.reply", "actors.runtime.node"):
        caplog.set_level(logging.DEBUG, logger=name)


async def test_the_request_id_goes_through_every_stage(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    asked = bet()
    caplog.clear()
    await seat.ok("dice:roll", asked)
    stages = [
        record.getMessage()
        for record in caplog.records
        if getattr(record, "request_id", None) == asked["request_id"]
    ]
    assert stages == ["received", "decided", "committed", "answered"]
