"""Passwords: hashed, checked, hashed anew, and never more at a time than the bound."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Literal

import pytest
from argon2 import PasswordHasher

from protocol.errors import OVERLOADED, Failure
from server.auth.passwords import MAX_PENDING, Passwords, Verdict

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    it = Passwords(CHEAP)
    yield it
    it.close()


async def test_the_right_password_matches_and_others_do_not(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")

    assert await passwords.check("correct horse", stored) == Verdict(matches=True)
    assert await passwords.check("Correct horse", stored) == Verdict(matches=False)
    assert await passwords.check("", stored) == Verdict(matches=False)


async def test_a_hash_is_salted_and_made_by_argon2id(passwords: Passwords) -> None:
    first, second = await passwords.hash("same"), await passwords.hash("same")

    assert first != second
    assert first.startswith("$argon2id$")


async def test_left_to_itself_it_takes_what_rfc_9106_recommends() -> None:
    passwords = Passwords()
    stored = await passwords.hash("correct horse")
    passwords.close()

    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_text_that_is_not_unicode_is_a_password_too(passwords: Passwords) -> None:
    stored = await passwords.hash("\ud800 nul \x00 end")

    assert (await passwords.check("\ud800 nul \x00 end", stored)).matches
    assert not (await passwords.check("\ud800 nul \x00", stored)).matches


async def test_an_outdated_hash_is_made_anew(passwords: Passwords) -> None:
    outdated = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash("secret word")

    verdict = await passwords.check("secret word", outdated)

    assert verdict.matches
    assert verdict.new_hash is not None
    assert await passwords.check("secret word", verdict.new_hash) == Verdict(matches=True)
    assert await passwords.check("wrong word", outdated) == Verdict(matches=False)


class _CountingHasher(PasswordHasher):
    """Counts what it verifies, and can be held in the middle of it."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - theirs
        self.verified += 1
        assert self.may_go_on.wait(30)
        return super().verify(hash, password)


async def test_an_unknown_user_costs_the_same_work_and_never_matches() -> None:
    hasher = _CountingHasher()
    passwords = Passwords(hasher)

    assert await passwords.check("whatever", None) == Verdict(matches=False)
    assert hasher.verified == 1
    passwords.close()


async def test_more_than_the_bound_are_refused_and_the_rest_is_done() -> None:
    hasher = _CountingHasher()
    passwords = Passwords(hasher)
    stored = await passwords.hash("secret word")
    hasher.may_go_on.clear()
    waiting = [
        asyncio.create_task(passwords.check("secret word", stored)) for _ in range(MAX_PENDING)
    ]
    one_more = asyncio.create_task(passwords.check("secret word", stored))
    await asyncio.sleep(0)
    hasher.may_go_on.set()

    with pytest.raises(Failure) as caught:
        await one_more
    assert caught.value.kind is OVERLOADED
    assert await asyncio.gather(*waiting) == [Verdict(matches=True)] * MAX_PENDING
    assert (await passwords.check("secret word", stored)).matches
    passwords.close()


async def test_a_caller_who_gives_up_frees_their_place() -> None:
    hasher = _CountingHasher()
    passwords = Passwords(hasher)
    stored = await passwords.hash("secret word")
    hasher.may_go_on.clear()
    waiting = [
        asyncio.create_task(passwords.check("secret word", stored)) for _ in range(MAX_PENDING)
    ]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    hasher.may_go_on.set()

    assert (await passwords.check("secret word", stored)).matches
    assert hasher.verified <= 3, "those that waited were not taken out of the queue"
    passwords.close()


async def test_the_event_loop_runs_on_while_a_password_is_hashed() -> None:
    hasher = _CountingHasher()
    passwords = Passwords(hasher)
    stored = await passwords.hash("secret word")
    hasher.may_go_on.clear()
    check = asyncio.create_task(passwords.check("secret word", stored))
    await asyncio.sleep(0.01)
    assert not check.done()
    hasher.may_go_on.set()

    assert (await check).matches
    passwords.close()
