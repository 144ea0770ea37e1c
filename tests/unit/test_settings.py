"""Settings: read from the environment, refused by name, and safe in production."""

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actors.limits import Limits
from protocol.money import CURRENCIES
from server.configuration import PAGE, page
from server.keyfile import kept_secret
from server.settings import DEFAULT_LIMITS, Settings, SettingsError, load_settings, variable

JWT_SECRET = "pW0mPpyV8fTqJ3nLxRkZ5sGd7hBc2uYa"
SEED_KEY = base64.b64encode(bytes(range(100, 132))).decode()
SECRETS = {"PITBOSS_JWT_SECRET": JWT_SECRET, "PITBOSS_SEED_ENCRYPTION_KEY": SEED_KEY}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PITBOSS_") or name in {"DATABASE_URL", "REDIS_URL"}:
            monkeypatch.delenv(name)


def loaded(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_defaults_suit_a_newcomer(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch)
    assert (settings.env, settings.host, settings.port) == ("development", "127.0.0.1", 8080)
    assert settings.data_dir == Path("data")
    assert settings.database_url is None
    assert settings.demo_player
    assert settings.faucet_enabled
    assert settings.guest_accounts


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(
        monkeypatch,
        PITBOSS_PORT="0",
        PITBOSS_DATA_DIR="/srv/floor",
        PITBOSS_FAUCET_ENABLED="false",
        DATABASE_URL="postgresql://db/floor",
        REDIS_URL="redis://cache/0",
    )
    assert (settings.port, settings.data_dir) == (0, Path("/srv/floor"))
    assert settings.database_url == "postgresql://db/floor"
    assert settings.redis_url == "redis://cache/0"
    assert not settings.faucet_enabled


@pytest.mark.parametrize(
    "written",
    ["10.0.0.1, 172.16.0.0/12,2001:db8:0::/48", '["10.0.0.1", "172.16.0.0/12", "2001:db8::/48"]'],
)
def test_proxies_are_a_list(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    assert loaded(monkeypatch).trusted_proxies == frozenset()
    settings = loaded(monkeypatch, PITBOSS_TRUSTED_PROXIES=written)
    networks = {"10.0.0.1/32", "172.16.0.0/12", "2001:db8::/48"}
    assert {str(network) for network in settings.trusted_proxies} == networks


@pytest.mark.parametrize(
    "written", ["https://Floor.example,http://x:1", '["https://floor.example", "http://x:1"]']
)
def test_origins_are_a_list(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    assert loaded(monkeypatch).allowed_origins is None
    settings = loaded(monkeypatch, PITBOSS_ALLOWED_ORIGINS=written)
    assert settings.allowed_origins == frozenset({"https://floor.example", "http://x:1"})


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch, PITBOSS_PORT="", DATABASE_URL="").database_url is None


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("PITBOSS_PORT", "99999", "PITBOSS_PORT: Input should be less than or equal to 65535"),
        ("PITBOSS_PORT", "many", "PITBOSS_PORT: Input should be a valid integer"),
        ("PITBOSS_ENV", "prod", "PITBOSS_ENV: Input should be 'development'"),
        ("PITBOSS_PROT", "1", "PITBOSS_PROT is not a setting; PITBOSS_PORT is"),
        ("PITBOSS_DICE_LIMITS", "{", "dice_limits"),
        ("PITBOSS_DICE_LIMITS", '{"ABC": 1}', "PITBOSS_DICE_LIMITS: Expected `object`"),
        ("PITBOSS_TRUSTED_PROXIES", "10.0.0.1, proxy", "proxy is not an IP address"),
        ("PITBOSS_TRUSTED_PROXIES", "10.0.0.1/8", "10.0.0.1/8 is not an IP address"),
        ("PITBOSS_TRUSTED_PROXIES", "[1]", "PITBOSS_TRUSTED_PROXIES: Expected `str`"),
        ("PITBOSS_TRUSTED_PROXIES", "[", "PITBOSS_TRUSTED_PROXIES: Input data was truncated"),
        ("PITBOSS_ALLOWED_ORIGINS", "floor.example", "floor.example is not an origin"),
        ("PITBOSS_ALLOWED_ORIGINS", "*", "* is not an origin"),
        ("PITBOSS_ALLOWED_ORIGINS", "https://floor.example/", "is not an origin"),
        ("REDIS_URL", "cache:6379", "REDIS_URL: String should match pattern"),
        ("PITBOSS_JWT_SECRET", "short", "PITBOSS_JWT_SECRET must have at least 32 bytes"),
        ("PITBOSS_JWT_SECRET", "change-me!" * 4, "PITBOSS_JWT_SECRET is a placeholder"),
        ("PITBOSS_SEED_ENCRYPTION_KEY", "!", "PITBOSS_SEED_ENCRYPTION_KEY is not base64"),
        ("PITBOSS_SEED_ENCRYPTION_KEY", "QUJD", "PITBOSS_SEED_ENCRYPTION_KEY must be 32 bytes"),
        (
            "PITBOSS_SEED_ENCRYPTION_KEY_PREVIOUS",
            "QUJD",
            "PITBOSS_SEED_ENCRYPTION_KEY_PREVIOUS must be 32 bytes",
        ),
        (
            "PITBOSS_SEED_ENCRYPTION_KEY",
            base64.b64encode(bytes(32)).decode(),
            "PITBOSS_SEED_ENCRYPTION_KEY is a placeholder",
        ),
    ],
)
def test_an_unsound_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded(monkeypatch, **{name: value})
    assert problem in str(refused.value)


def test_a_refused_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded(monkeypatch, PITBOSS_JWT_SECRET="hunter2", PITBOSS_PORT="x")
    assert "hunter2" not in str(refused.value)
    assert JWT_SECRET not in repr(loaded_secretly(monkeypatch))


def loaded_secretly(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("PITBOSS_PORT")
    return loaded(monkeypatch, **SECRETS)


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_production_refuses_a_missing_secret(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    given = {name: value for name, value in SECRETS.items() if name != missing}
    with pytest.raises(SettingsError) as refused:
        loaded(monkeypatch, PITBOSS_ENV="production", **given)
    assert str(refused.value) == f"{missing} must be set in production"


@pytest.mark.parametrize("name", ["PITBOSS_FAUCET_ENABLED", "PITBOSS_DEMO_PLAYER"])
def test_production_refuses_what_is_for_trying_out(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded(monkeypatch, PITBOSS_ENV="production", **SECRETS, **{name: "true"})
    assert str(refused.value) == f"{name} must be off in production"


def test_production_is_closed_unless_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, PITBOSS_ENV="production", **SECRETS)
    assert not settings.faucet_enabled
    assert not settings.demo_player
    assert not settings.guest_accounts
    assert loaded(monkeypatch, PITBOSS_GUEST_ACCOUNTS="true").guest_accounts
    assert settings.jwt_secret_value() == JWT_SECRET
    assert settings.seed_key() == base64.b64decode(SEED_KEY)


def test_generated_secrets_survive_a_restart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    first = loaded(monkeypatch, PITBOSS_DATA_DIR=str(folder))
    second = loaded(monkeypatch)
    assert first.jwt_secret_value() == second.jwt_secret_value()
    assert first.seed_key() == second.seed_key()
    assert len(first.seed_key()) == 32
    assert len(first.jwt_secret_value()) >= 32
    assert sorted(path.name for path in folder.iterdir()) == ["jwt_secret", "seed_encryption_key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_of_two_first_starts_one_makes_the_secret(tmp_path: Path) -> None:
    numbers = iter(range(1_000))
    paths = [tmp_path / str(turn) for turn in range(20) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda path: kept_secret(path, lambda: str(next(numbers))), paths))
    assert found == [path.read_text() for path in paths]
    assert len(set(found)) == 20


LIMITS_OF_GAMES = ("dice_limits", "limbo_limits", "plinko_limits", "mines_limits")


@pytest.mark.parametrize("name", LIMITS_OF_GAMES)
def test_limits_replace_those_of_the_named_currencies_and_of_no_other_game(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    one = '{"USD": {"least_stake_minor": 5, "most_stake_minor": 50, "most_profit_minor": 500}}'
    settings = loaded(monkeypatch, **{variable(name): one})
    for game in LIMITS_OF_GAMES:
        limits = getattr(settings, game)
        assert limits["USD"] == (Limits(5, 50, 500) if game == name else DEFAULT_LIMITS["USD"])
        assert limits["PLAY"] == DEFAULT_LIMITS["PLAY"]


@pytest.mark.parametrize(
    ("code", "numbers", "problem"),
    [
        ("ABC", (1, 2, 3), "ABC is not a currency"),
        ("USD", (0, 2, 3), "USD: the least stake"),
        ("USD", (3, 2, 3), "USD: the least stake"),
        ("USD", (1, 2**53, 3), "USD: the least stake"),
        ("USD", (1, 2, 0), "USD: the most profit"),
        ("USD", (1, 2, 2**53), "USD: the most profit"),
    ],
)
def test_unsound_limits_are_refused(
    monkeypatch: pytest.MonkeyPatch, code: str, numbers: tuple[int, int, int], problem: str
) -> None:
    names = ("least_stake_minor", "most_stake_minor", "most_profit_minor")
    table = ", ".join(f'"{name}": {number}' for name, number in zip(names, numbers, strict=True))
    with pytest.raises(SettingsError, match=problem):
        loaded(monkeypatch, PITBOSS_DICE_LIMITS=f'{{"{code}": {{{table}}}}}')


def test_every_currency_has_sound_default_limits() -> None:
    assert set(DEFAULT_LIMITS) == set(CURRENCIES)


def test_the_page_of_settings_is_current() -> None:
    assert PAGE.read_text() == page(), "write it again with `make docs`"


def test_every_setting_is_described_and_used() -> None:
    server = Path(__file__).parents[2] / "server"
    source = "".join(
        path.read_text() for path in server.rglob("*.py") if path.name != "settings.py"
    )
    by_settings_themselves = {
        "env", "jwt_secret", "seed_encryption_key", "seed_encryption_key_previous"
    }  # fmt: skip
    for name, field in Settings.model_fields.items():
        assert field.description, f"{variable(name)} has no description"
        if name not in by_settings_themselves:
            assert f"settings.{name}" in source, f"nothing reads {variable(name)}"
