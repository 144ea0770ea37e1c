"""compose.yaml, nginx.conf and the Dockerfile agree with each other and with the program."""

import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it comes without types

from server.app import KEEPALIVE_S
from server.settings import load_settings

ROOT = Path(__file__).parents[2]
NGINX = (ROOT / "nginx.conf").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
NODES = sorted(name for name, service in SERVICES.items() if service.get("build") == ".")
# As Compose puts it in from .env.
PASSWORD = "${REDIS_PASSWORD:?is not set}"
SECRETS = {
    "PITBOSS_JWT_SECRET": "jVq8Zr3nT5wYx2Lk9Pd4Hs7Mb1Cf6Ga0",
    "PITBOSS_SEED_ENCRYPTION_KEY": "q1W2e3R4t5Y6u7I8o9P0a1S2d3F4g5H6j7K8l9Z0x1c=",
}


def nginx(directive: str) -> str:
    (found,) = re.findall(rf"^\s*{directive} +([^;]+);", NGINX, re.MULTILINE)
    return str(found)


def seconds(text: str) -> int:
    assert text.endswith("s")
    return int(text[:-1])


def address(service: str) -> str:
    found: str = SERVICES[service]["networks"]["default"]["ipv4_address"]
    return found


def settings_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, SECRETS.get(variable, value))
    return load_settings()


def test_there_are_two_nodes_and_nginx_speaks_to_both_where_they_listen() -> None:
    assert len(NODES) == 2
    (port,) = re.findall(r"PITBOSS_PORT=(\d+)", DOCKERFILE)
    assert f"EXPOSE {port}" in DOCKERFILE
    named = re.findall(r"^\s*server (\S+) max_fails", NGINX, re.MULTILINE)
    assert sorted(named) == [f"{name}:{port}" for name in NODES]
    assert sorted(SERVICES["nginx"]["depends_on"]) == NODES


def test_players_reach_nginx_and_nobody_else() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == [f"127.0.0.1:8080:{nginx('listen')}"]


@pytest.mark.parametrize("name", NODES)
def test_a_node_has_its_own_name_and_address_and_trusts_nginx_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(name, monkeypatch)
    assert (settings.env, settings.node_name) == ("production", name)
    assert settings.cluster_host == address(name)
    assert settings.trusted_proxies == {ip_network(address("nginx"))}
    assert "@postgres/" in settings.database_url
    assert settings.redis_url == f"redis://:{PASSWORD}@redis:6379/0"


def test_redis_asks_for_the_password_that_nodes_have() -> None:
    redis = SERVICES["redis"]
    assert redis["command"][-2:] == ["--requirepass", PASSWORD]
    assert redis["environment"]["REDISCLI_AUTH"] == PASSWORD
    assert redis["healthcheck"]["test"] == ["CMD-SHELL", "redis-cli ping | grep PONG"]


def test_all_addresses_are_of_the_network_and_different() -> None:
    (config,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    found = {ip_address(address(name)) for name in (*NODES, "nginx")}
    assert len(found) == 3
    assert all(one in ip_network(config["subnet"]) for one in found)


def test_nginx_waits_longer_than_a_heartbeat_and_lets_go_of_connections_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_of(NODES[0], monkeypatch)
    beat_ms = settings.ping_interval_milliseconds + settings.ping_timeout_milliseconds
    assert seconds(nginx("proxy_read_timeout")) * 1_000 > beat_ms
    assert seconds(nginx("keepalive_timeout")) < KEEPALIVE_S


def test_nginx_passes_upgrades_on_and_says_whom_it_speaks_for() -> None:
    for line in (
        "proxy_http_version 1.1;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_set_header Connection $connection_upgrade;",
        "proxy_set_header Host $http_host;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_buffering off;",
    ):
        assert NGINX.count(line) == 1, line
    assert "ip_hash" not in NGINX


def test_containers_have_the_time_that_a_drain_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(NODES[0], monkeypatch)
    for name in NODES:
        assert seconds(SERVICES[name]["stop_grace_period"]) >= 8 * settings.drain_seconds
