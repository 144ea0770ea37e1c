"""The vault: two keys at most, and what is sealed opens in its place only."""

import pytest

from storage.vault import Vault, WrongKeyError

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))


def test_what_is_sealed_opens_in_its_place() -> None:
    vault = Vault(OLD)
    sealed = vault.seal("secret", "here")

    assert vault.open(sealed, "here") == "secret"
    assert b"secret" not in sealed
    assert vault.seal("secret", "here") != sealed
    with pytest.raises(WrongKeyError, match="there does not open"):
        vault.open(sealed, "there")


def test_the_key_before_opens_too() -> None:
    sealed = Vault(OLD).seal("secret", "here")

    assert Vault(NEW, OLD).open(sealed, "here") == "secret"
    with pytest.raises(WrongKeyError):
        Vault(NEW).open(sealed, "here")
    with pytest.raises(WrongKeyError):
        Vault(NEW, OTHER).open(sealed, "here")


def test_only_the_new_key_seals() -> None:
    sealed = Vault(NEW, OLD).seal("secret", "here")

    assert Vault(NEW).open(sealed, "here") == "secret"
    with pytest.raises(WrongKeyError):
        Vault(OLD).open(sealed, "here")


def test_what_the_key_before_sealed_is_renewed_once() -> None:
    vault = Vault(NEW, OLD)
    renewed = vault.renewed(Vault(OLD).seal("secret", "here"), "here")

    assert renewed is not None
    assert Vault(NEW).open(renewed, "here") == "secret"
    assert vault.renewed(renewed, "here") is None
    with pytest.raises(WrongKeyError):
        vault.renewed(Vault(OTHER).seal("secret", "here"), "here")


@pytest.mark.parametrize("cut", [b"", b"short", b"just twelve.", bytes(100)])
def test_what_was_never_sealed_does_not_open(cut: bytes) -> None:
    with pytest.raises(WrongKeyError):
        Vault(NEW, OLD).open(cut, "here")
