"""The limit on open files, which is one on connections."""

import resource
from collections.abc import Iterator

import pytest

from server.openfiles import OTHER_FILES, allow_connections


@pytest.fixture(autouse=True)
def _kept_limit() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def soft() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_a_low_limit_is_raised_to_what_is_needed(caplog: pytest.LogCaptureFixture) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_000, hard))
    assert allow_connections(800, 100) == soft() == 900 + OTHER_FILES
    # A higher one stays as it is.
    assert allow_connections(10, 10) == soft() == 900 + OTHER_FILES
    assert not caplog.records


def test_what_the_system_refuses_is_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    assert allow_connections(20_000, 20_000) == 4_096
    assert asked == [(4_096, 4_096)]
    assert "4096 open files" in caplog.text
