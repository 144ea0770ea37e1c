"""The one wiring file: builds a node from its parts, starts it, and stops it in order."""

import asyncio
import logging
import random
import secrets
import time
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

import asyncpg
from aiohttp import web
from prometheus_client import CollectorRegistry

from actors.crash.rules import CRASH, crash_kind
from actors.crash.stake import RULES as CRASH_STAKES
from actors.dice.rules import DICE
from actors.instant import instant_rule
from actors.kind import Rule
from actors.limbo.rules import LIMBO
from actors.mines.rules import mines_rules
from actors.plinko.rules import PLINKO
from actors.runtime.node import Node
from actors.runtime.post import Post
from actors.wallet.rules import WALLET, wallet_kind
from protocol.bounds import MAX_BETS_PER_BATCH
from protocol.catalogue import Rate
from protocol.commands.dice import RollDice
from protocol.commands.limbo import PlayLimbo
from protocol.commands.plinko import DropPlinko
from server import totals
from server.activity import Activity
from server.allowance import Allowance
from server.auth.passwords import Passwords
from server.auth.service import Accounts
from server.auth.tokens import Tokens
from server.clock import Clock, now_ms
from server.cluster.cluster import new_member_id
from server.cluster.topology import Clustered
from server.commands.accounts import AccountCommands
from server.commands.bets import BetCommands
from server.commands.crash import CrashCommands
from server.commands.feed import FeedCommands
from server.commands.limits import LimitCommands
from server.commands.node import NodeCommands
from server.commands.rain import RainCommands
from server.commands.stats import StatsCommands
from server.commands.switches import SwitchCommands
from server.commands.wallet import WalletCommands
from server.documents.pages import Documents
from server.feed import MOMENT_S, LiveFeed
from server.floor import Floor
from server.http.compression import compress_answers
from server.http.door import Door
from server.http.gate import Gate
from server.http.health import Health
from server.jobs import Jobs
from server.lag import watch_lag
from server.metrics import Commits, MetricsPage, NodeCollector, lag_histogram
from server.pulse import SAMPLE_S, Pulse
from server.router import Router
from server.settings import Settings
from server.sockets.listener import Listener
from server.sockets.options import SocketOptions
from server.sockets.routes import SocketRoutes
from server.sockets.server import SocketServer
from server.switches import REFRESH_S, Switches
from server.tables import Tables
from server.topology import Standalone, Topology
from server.work import Work
from storage.crash_tables import CrashStore
from storage.journal import Journal, shards_of
from storage.lane import Lane
from storage.outbox import PostgresOutbox
from storage.pool import Pools
from storage.queries.bets import Bets
from storage.queries.stakes import taken
from storage.queries.stats import StatsReader
from storage.queries.users import usernames
from storage.rows import tables
from storage.stores import Stores
from storage.switches import SwitchStore
from storage.vault import Vault
from storage.wallets import WalletStore
from storage.writer import Connector

log = logging.getLogger(__name__)

# Sweeps: often enough to be timely, rarely enough to cost nothing.
SNAPSHOT_PAUSE_S: Final = 0.25
DELETE_PAUSE_S: Final = 0.1
OUTBOX_SWEEP_S: Final = 1.0
TOKEN_SWEEP_S: Final = 5.0
PASSIVATION_SWEEP_S: Final = 0.1
PASSIVATION_LIMIT: Final = 500
# A session that was revoked elsewhere ends its sockets here within this time.
SESSION_CHECK_S: Final = 10.0
SESSION_CHECK_BATCH: Final = 1_000
SESSION_SWEEP_S: Final = 600.0
# A table that was let go, or that waits for its operators, is back within this time.
TABLE_WAKE_S: Final = 1.0
# Idle HTTP connections are closed after this: later than nginx lets go of them (60 s), so that a
# proxy never sends a request into a connection that is just being closed.
KEEPALIVE_S: Final = 75.0
# How long HTTP connections may take to go at the very end, twice: everything is answered by then.
SHUTDOWN_S: Final = 1.0
# Packets that a connection may send for each that its player's budgets allow: heartbeats, refused
# tries and bursts fit in, a flood does not.
FLOOD_FACTOR: Final = 10
# Connections of one address that may all send as much: an office where everybody plays sends less.
FLOODS_PER_ADDRESS: Final = 4


def _fresh_secret() -> str:
    return secrets.token_hex(32)


def _chance() -> random.Random:
    """Cheap chance, for what decides no bet; nobody knows its seed."""
    return random.Random(secrets.randbits(128))  # noqa: S311 - it decides no bet


@dataclass
class Storage:
    """What keeps the facts."""

    journal: Journal
    wallets: WalletStore
    crash: CrashStore
    store: Stores
    outbox: PostgresOutbox
    vault: Vault


class Pitboss:
    """One running node."""

    def __init__(self, settings: Settings, dsn: str, pools: Pools) -> None:
        self.settings = settings
        # Whether other processes listen on the same port. Set before the start.
        self.shares_port = False
        self.registry = CollectorRegistry()
        self._people = pools.people
        # In a cluster; a node that is alone has no id.
        member = new_member_id() if settings.redis_url else ""
        self.storage = self._storage(dsn, pools, member)
        self.jobs = Jobs()
        self.work = Work()
        self.passwords = Passwords()
        self.accounts = Accounts(
            pools.people,
            self.passwords,
            Tokens([settings.jwt_secret_value()], now_ms=now_ms),
            now_ms=now_ms,
            guests=settings.guest_accounts,
            on_revoked=self._revoked,
        )
        self.allowance = Allowance(_rates(settings), time.monotonic)
        self.floor = Floor(
            self.accounts,
            self.allowance,
            now_ms,
            max_connections_per_user=settings.max_connections_per_user,
        )
        self.sockets = SocketServer(_socket_options(settings), self.floor, member)
        self.post = Post(self.storage.outbox)
        self.crash_tables = {table.number: table for table in settings.crash_tables}
        # With those that are closed, which nobody can ask for.
        self._all_tables = dict(self.crash_tables)
        # The games, and tables, that take no bets at the moment.
        self.paused: set[str] = set()
        self.switches = Switches(
            SwitchStore(pools.people), self.paused, self.sockets.hub, self.crash_tables, now_ms
        )
        self.activity = Activity(self.sockets.hub, time.monotonic, _chance())
        self.feed = LiveFeed(
            self.sockets.hub, partial(usernames, pools.people), _most_stakes(settings)
        )
        self.topology = self._topology(pools)
        self.node = self._node()
        self.tables = Tables(self.node, self._all_tables)
        self.bets = BetCommands(self.node, Bets(pools.people, self.storage.vault), time.monotonic)
        self.pulse = Pulse(self._totals, time.monotonic)
        self.router = self._router(pools.people)
        self.floor.bind(self.router)
        self.topology.bind(self.node, self.tables, self.pulse)
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None

    def _storage(self, dsn: str, pools: Pools, member: str) -> Storage:
        settings, commits = self.settings, Commits(self.registry)
        vault = Vault(settings.seed_key(), settings.previous_seed_key())
        connector = Connector(dsn, tables(vault), member)
        count, shards = settings.journal_lanes, settings.shards
        lanes = [
            Lane(
                number,
                shards_of(number, count, shards),
                connector,
                None,
                settings.commit_timeout_seconds,
                commits.observe,
                moving=bool(member),
            )
            for number in range(count)
        ]
        journal = Journal(lanes, shards)
        outbox = PostgresOutbox(pools.runtime, lambda: journal.owned)
        wallets = WalletStore(pools.runtime, vault)
        # What proves little is not for players: theirs are chains that somebody has published.
        crash = CrashStore(pools.runtime, vault, trials=settings.env != "production")
        store = Stores({WALLET: wallets, CRASH: crash})
        return Storage(journal, wallets, crash, store, outbox, vault)

    def _topology(self, pools: Pools) -> Topology:
        settings, journal = self.settings, self.storage.journal
        if settings.redis_url is None:
            return Standalone(journal, self.sockets.hub, pools.people)
        return Clustered(
            settings,
            journal,
            pools.locks,
            self.sockets,
            self.floor,
            self.activity,
            self.feed,
            _chance(),
            self._revoked_elsewhere,
        )

    def _revoked(self, session_id: UUID) -> None:
        self.floor.session_ended(session_id)
        self.topology.revoked(session_id)

    def _revoked_elsewhere(self, session_id: UUID) -> None:
        self.accounts.session_ended(session_id)
        self.floor.session_ended(session_id)

    def _node(self) -> Node:
        settings = self.settings
        games: dict[type, Rule] = {
            RollDice: instant_rule(DICE, settings.dice_limits, self.paused),
            PlayLimbo: instant_rule(LIMBO, settings.limbo_limits, self.paused),
            DropPlinko: instant_rule(PLINKO, settings.plinko_limits, self.paused),
            **mines_rules(settings.mines_limits, self.paused),
            **CRASH_STAKES,
        }
        node = Node(
            [wallet_kind(games), crash_kind(self._all_tables, self.paused)],
            self.storage.journal,
            self.storage.store,
            self.post,
            self.topology.publisher,
            Clock(now_ms),
            _fresh_secret,
            max_live=settings.max_live_actors,
            hydrate_timeout_s=settings.commit_timeout_seconds,
            witness=self.feed,
            elsewhere=self.topology.elsewhere,
        )
        self.storage.journal.bind(node)
        return node

    def _router(self, pool: asyncpg.Pool) -> Router:
        accounts = AccountCommands(self.accounts, now_ms, self.floor.renewed)
        wallet = WalletCommands(self.node, pool, self.accounts, faucet=self.settings.faucet_enabled)
        node = NodeCommands(self.sockets, self.pulse, now_ms)
        crash = CrashCommands(self.node, pool, self.crash_tables, partial(taken, pool))
        limits = LimitCommands(self.node)
        parts = (accounts, wallet, self.bets, node, crash, limits, *self._floor_commands(pool))
        handlers = {
            name: handler for part in parts for name, handler in part.handlers(self.work).items()
        }
        return Router(handlers, time.monotonic)

    def _floor_commands(
        self, pool: asyncpg.Pool
    ) -> tuple[RainCommands, FeedCommands, StatsCommands, SwitchCommands]:
        return (
            RainCommands(self.node, self.activity, time.monotonic, self.topology.activity),
            FeedCommands(self.feed),
            StatsCommands(StatsReader(pool)),
            SwitchCommands(self.switches, SwitchStore(pool), self.crash_tables),
        )

    def _totals(self) -> totals.Totals:
        return totals.read(self.sockets.counters, self.router, self.bets)

    async def prepare(self) -> None:
        """Make everything that takes its time: whoever owns shards must not be busy with it."""
        self._runner = web.AppRunner(
            self._web_app(),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=SHUTDOWN_S,
            keepalive_timeout=KEEPALIVE_S,
            auto_decompress=False,
            # A poll that its client gives up ends the session, which the client knows has ended.
            handler_cancellation=True,
        )
        await self._runner.setup()

    async def start(self) -> int:
        """Own the shards, listen, and return the port. Prepares what is not prepared yet."""
        if self._runner is None:
            await self.prepare()
        assert self._runner is not None
        server = self._runner.server
        await self.topology.own()
        await self.switches.refresh()
        if self.settings.env != "production":
            await self.tables.give_trial_chains(self._people, self.storage.vault, now_ms())
        await self.topology.begin_log()
        # Shards that are ours are served, also from afar, before we listen.
        self._start_jobs()
        await self.topology.join()
        assert server is not None
        self._listener = Listener(self.sockets.engine, server)
        return await self._listener.listen(
            self.settings.host, self.settings.port, shared=self.shares_port
        )

    def _start_jobs(self) -> None:
        jobs, settings = self.jobs, self.settings
        idle_ms = int(settings.passivate_after_seconds * 1_000)
        jobs.every(SNAPSHOT_PAUSE_S, self.storage.wallets.flush_snapshots)
        jobs.every(DELETE_PAUSE_S, self.storage.outbox.flush)
        jobs.run(watch_lag(lag_histogram(self.registry).observe, self.pulse.observe_lag))
        jobs.every(SAMPLE_S, self.pulse.sample)
        jobs.every(OUTBOX_SWEEP_S, self._sweep_outbox)
        jobs.every(TOKEN_SWEEP_S, self.floor.check_tokens)
        jobs.every(PASSIVATION_SWEEP_S, lambda: self.node.passivate(idle_ms, PASSIVATION_LIMIT))
        jobs.every(TABLE_WAKE_S, self.tables.wake)
        jobs.every(TABLE_WAKE_S, partial(self.tables.look_for_chains, self.storage.crash))
        jobs.every(TABLE_WAKE_S, partial(self.tables.look_for_others, self._people))
        jobs.every(REFRESH_S, self.switches.refresh)
        jobs.every(MOMENT_S, self.feed.tell)
        jobs.every(SESSION_CHECK_S, self._check_sessions)
        jobs.every(SESSION_SWEEP_S, self._sweep_sessions)

    async def _check_sessions(self) -> None:
        sessions = self.floor.sessions
        for start in range(0, len(sessions), SESSION_CHECK_BATCH):
            await self.accounts.end_revoked(sessions[start : start + SESSION_CHECK_BATCH])

    async def _sweep_sessions(self) -> None:
        while await self.accounts.sweep():
            pass

    async def _sweep_outbox(self) -> None:
        if self.storage.journal.open:
            await self.post.sweep()

    def _web_app(self) -> web.Application:
        app = web.Application(
            client_max_size=self.settings.max_payload_bytes, middlewares=[compress_answers]
        )
        Gate(self.sockets.engine).add_to(app)
        SocketRoutes(self.sockets.engine).add_to(app)
        Door(
            self.router, self.accounts, self.allowance, self.sockets.engine.admission, now_ms
        ).add_to(app)
        Health(self._ready).add_to(app)
        Documents(_rates(self.settings)).add_to(app)
        self.registry.register(
            NodeCollector(
                self.node,
                self.storage.journal,
                self.post,
                self.router,
                self.bets,
                self.sockets,
                self.work,
            )
        )
        for collector in self.topology.collectors():
            self.registry.register(collector)
        MetricsPage(self.registry, time.monotonic).add_to(app)
        return app

    def _ready(self) -> dict[str, bool]:
        return {
            "journal": self.storage.journal.open,
            "accepting": not self.sockets.engine.admission.draining,
            **self.topology.checks(),
        }

    async def stop(self) -> None:
        """Take nothing new, commit what was accepted, answer it, and close, in that order."""
        if self._listener is not None:
            self._listener.close()
        if not await self.topology.hand_over(self.settings.drain_seconds):
            self.node.drain()
        await self.work.finish(self.settings.drain_seconds)
        await self._flush()
        await self.sockets.drain(
            self.settings.drain_seconds, self.settings.reconnect_after_milliseconds
        )
        self.node.drain()
        await self._flush()
        await self._put_all_away()
        await self.storage.journal.close(self.settings.drain_seconds)
        await self.jobs.stop()
        await self.storage.outbox.flush()
        await self.storage.wallets.flush_snapshots()
        self.node.close()
        await self.topology.leave()
        self.storage.wallets.close()
        self.sockets.close()
        await self.topology.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self.passwords.close()

    async def _put_all_away(self) -> None:
        """Let every actor go, and write the snapshots before there are too many of them."""
        deadline = time.monotonic() + self.settings.drain_seconds
        for _few in self.node.put_all_away():
            await self.storage.wallets.flush_snapshots()
            if time.monotonic() > deadline:
                log.warning("%d actors are left without a new snapshot", self.node.live)
                return

    async def _flush(self) -> None:
        """Wait until everything accepted is committed, or storage is gone, or time is up."""
        deadline = time.monotonic() + self.settings.drain_seconds
        while (  # noqa: ASYNC110 - an event would cost every commit, for this one moment
            self._is_busy() and time.monotonic() < deadline
        ):
            await asyncio.sleep(0.005)

    def _is_busy(self) -> bool:
        """Whether anything waits to be committed, here or elsewhere."""
        return self.topology.asked > 0 or any(lane.depth for lane in self.storage.journal.lanes)


def _most_stakes(settings: Settings) -> dict[str, int]:
    """The highest stake that anything takes in each currency, in minor units."""
    games = (
        settings.dice_limits,
        settings.limbo_limits,
        settings.plinko_limits,
        settings.mines_limits,
    )
    found: dict[str, int] = {table.currency: table.most_stake for table in settings.crash_tables}
    for limits in games:
        for code, table in limits.items():
            found[code] = max(found.get(code, 0), table.most_stake_minor)
    return found


def _rates(settings: Settings) -> dict[Rate, tuple[float, int]]:
    bets, commands = settings.bets_per_second, settings.commands_per_second
    sign_ins = settings.sign_ins_per_minute
    return {
        # A whole batch fits in at any rate, or it could never be placed.
        Rate.BETS: (bets, max(bets, MAX_BETS_PER_BATCH)),
        Rate.COMMANDS: (commands, max(commands, 1)),
        Rate.SIGN_IN: (sign_ins / 60, sign_ins),
    }


def _socket_options(settings: Settings) -> SocketOptions:
    packets_per_second = settings.max_packets_per_second or FLOOD_FACTOR * (
        settings.bets_per_second + settings.commands_per_second
    )
    return SocketOptions(
        ping_interval_ms=settings.ping_interval_milliseconds,
        ping_timeout_ms=settings.ping_timeout_milliseconds,
        max_payload_bytes=settings.max_payload_bytes,
        websocket_compression=settings.websocket_compression,
        request_timeout_ms=settings.request_timeout_milliseconds,
        unread_timeout_ms=settings.unread_timeout_milliseconds,
        connect_timeout_ms=settings.connect_timeout_milliseconds,
        max_outbound_bytes=settings.max_outbound_bytes,
        max_outbound_packets=settings.max_outbound_packets,
        max_packets_per_second=packets_per_second,
        max_packets_per_second_per_ip=settings.max_packets_per_second_per_ip
        or FLOODS_PER_ADDRESS * packets_per_second,
        max_connections=settings.max_connections,
        max_http_connections=settings.max_connections,
        max_connections_per_ip=settings.max_connections_per_ip,
        handshakes_per_second=settings.handshakes_per_second,
        recovery_ms=int(settings.recovery_seconds * 1_000),
        max_awaited_per_owner=settings.max_connections_per_user,
        trusted_proxies=settings.trusted_proxies,
        allowed_origins=settings.allowed_origins,
    )
