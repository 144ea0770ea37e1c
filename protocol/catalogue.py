"""Every command and event, declared once. The router, the HTTP door and the documents follow."""

from enum import Enum
from typing import Final

import msgspec

from protocol.commands import (
    auth,
    bets,
    crash,
    dice,
    feed,
    floor,
    limbo,
    limits,
    mines,
    node,
    plinko,
    rain,
    seed,
    stats,
    wallet,
)
from protocol.commands.auth import Role
from protocol.commands.shape import Answer, Command, Event


class Door(Enum):
    """How a command enters: an actor decides, committed rows are queried, or a service acts."""

    ACTOR = "actor"
    QUERY = "query"
    SERVICE = "service"


class Rate(Enum):
    """Which of a caller's budgets a command draws on."""

    BETS = "bets"
    COMMANDS = "commands"
    SIGN_IN = "sign_in"


class Route(msgspec.Struct, frozen=True):
    """A command's HTTP method and path, below the API's prefix. `{field}` comes from the path."""

    method: str
    path: str


class Entry(msgspec.Struct, frozen=True):
    """One command. No roles means that anyone may call it, without a token."""

    name: str
    request: type[Command]
    answer: type[Answer]
    door: Door
    rate: Rate
    roles: frozenset[Role]
    route: Route | None
    socket: bool

    @property
    def summary(self) -> str:
        """The first sentence of the request's documentation."""
        return (self.request.__doc__ or "").strip()


class EventEntry(msgspec.Struct, frozen=True):
    """One event that the server sends."""

    name: str
    data: type[Event]
    rooms: str

    @property
    def summary(self) -> str:
        """The event's documentation."""
        return (self.data.__doc__ or "").strip()


API_PREFIX: Final = "/api/v1"

ANYONE: Final[frozenset[Role]] = frozenset()
EVERYONE: Final = frozenset(Role)
STAFF: Final = frozenset({Role.OPERATOR, Role.ADMIN})


def _command(
    name: str,
    request: type[Command],
    answer: type[Answer],
    door: Door,
    *,
    http: str | None,
    rate: Rate = Rate.COMMANDS,
    roles: frozenset[Role] = EVERYONE,
    socket: bool = True,
) -> Entry:
    method, _, path = (http or "").partition(" ")
    route = Route(method, path) if http else None
    return Entry(name, request, answer, door, rate, roles, route, socket)


_ENTRIES: Final = (
    _command(
        "auth:register",
        auth.Register,
        auth.Session,
        Door.SERVICE,
        http="POST /auth/register",
        rate=Rate.SIGN_IN,
        roles=ANYONE,
        socket=False,
    ),
    _command(
        "auth:login",
        auth.Login,
        auth.Session,
        Door.SERVICE,
        http="POST /auth/login",
        rate=Rate.SIGN_IN,
        roles=ANYONE,
        socket=False,
    ),
    _command(
        "auth:guest",
        auth.Guest,
        auth.Session,
        Door.SERVICE,
        http="POST /auth/guest",
        rate=Rate.SIGN_IN,
        roles=ANYONE,
        socket=False,
    ),
    _command(
        "auth:renew",
        auth.Refresh,
        auth.Session,
        Door.SERVICE,
        http="POST /auth/refresh",
        rate=Rate.SIGN_IN,
        roles=ANYONE,
        socket=False,
    ),
    _command("auth:refresh", auth.RefreshSocket, auth.Renewed, Door.SERVICE, http=None),
    _command("auth:logout", auth.Logout, auth.LoggedOut, Door.SERVICE, http="POST /auth/logout"),
    _command("wallet:get", wallet.GetWallet, wallet.Wallet, Door.ACTOR, http="GET /wallet"),
    _command(
        "wallet:history", wallet.GetHistory, wallet.History, Door.QUERY, http="GET /wallet/history"
    ),
    _command("wallet:tip", wallet.Tip, wallet.Moved, Door.ACTOR, http="POST /wallet/tip"),
    _command(
        "wallet:deposit",
        wallet.Deposit,
        wallet.Moved,
        Door.ACTOR,
        http="POST /wallet/deposit",
        roles=STAFF,
    ),
    _command(
        "wallet:withdraw",
        wallet.Withdraw,
        wallet.Moved,
        Door.ACTOR,
        http="POST /wallet/withdraw",
        roles=STAFF,
    ),
    _command("wallet:faucet", wallet.Faucet, wallet.Moved, Door.ACTOR, http="POST /wallet/faucet"),
    _command(
        "dice:roll",
        dice.RollDice,
        dice.DiceResult,
        Door.ACTOR,
        http="POST /dice/roll",
        rate=Rate.BETS,
    ),
    _command(
        "limbo:play",
        limbo.PlayLimbo,
        limbo.LimboResult,
        Door.ACTOR,
        http="POST /limbo/play",
        rate=Rate.BETS,
    ),
    _command(
        "plinko:drop",
        plinko.DropPlinko,
        plinko.PlinkoResult,
        Door.ACTOR,
        http="POST /plinko/drop",
        rate=Rate.BETS,
    ),
    _command(
        "mines:start",
        mines.StartMines,
        mines.MinesStarted,
        Door.ACTOR,
        http="POST /mines/start",
        rate=Rate.BETS,
    ),
    _command(
        "mines:reveal",
        mines.RevealTile,
        mines.MinesPlayed,
        Door.ACTOR,
        http="POST /mines/reveal",
    ),
    _command(
        "mines:cashout",
        mines.CashOutMines,
        mines.MinesPlayed,
        Door.ACTOR,
        http="POST /mines/cashout",
    ),
    _command("mines:state", mines.GetMines, mines.MinesGames, Door.ACTOR, http="GET /mines"),
    _command(
        "crash:bet",
        crash.BetCrash,
        crash.CrashBet,
        Door.ACTOR,
        http="POST /crash/bet",
        rate=Rate.BETS,
    ),
    _command(
        "crash:cancel",
        crash.CancelCrash,
        crash.CrashCancelled,
        Door.ACTOR,
        http="POST /crash/cancel",
    ),
    _command(
        "crash:cashout",
        crash.CashOutCrash,
        crash.CashedOut,
        Door.ACTOR,
        http="POST /crash/cashout",
    ),
    _command(
        "crash:state",
        crash.GetCrash,
        crash.CrashState,
        Door.ACTOR,
        http="GET /crash/tables/{table}",
    ),
    _command("crash:watch", crash.WatchCrash, crash.CrashState, Door.ACTOR, http=None),
    _command("crash:unwatch", crash.UnwatchCrash, crash.Watching, Door.SERVICE, http=None),
    _command("crash:tables", crash.GetTables, crash.Tables, Door.SERVICE, http="GET /crash/tables"),
    _command(
        "crash:history",
        crash.GetRounds,
        crash.Rounds,
        Door.QUERY,
        http="GET /crash/tables/{table}/rounds",
    ),
    _command(
        "bets:place",
        bets.PlaceBets,
        bets.PlacedBets,
        Door.ACTOR,
        http="POST /bets",
        rate=Rate.BETS,
    ),
    _command("bet:history", bets.GetBets, bets.BetHistory, Door.QUERY, http="GET /bets"),
    _command("bet:get", bets.GetBet, bets.BetRecord, Door.QUERY, http="GET /bets/{bet_id}"),
    _command("seed:get", seed.GetSeed, seed.CurrentSeed, Door.ACTOR, http="GET /seed"),
    _command("seed:rotate", seed.RotateSeed, seed.Rotated, Door.ACTOR, http="POST /seed/rotate"),
    _command(
        "seed:set_client",
        seed.SetClientSeed,
        seed.CurrentSeed,
        Door.ACTOR,
        http="POST /seed/client",
    ),
    _command("limits:get", limits.GetLimits, limits.PlayLimits, Door.ACTOR, http="GET /limits"),
    _command("limits:set", limits.SetLimit, limits.PlayLimits, Door.ACTOR, http="POST /limits"),
    _command(
        "limits:cool_off",
        limits.CoolOff,
        limits.PlayLimits,
        Door.ACTOR,
        http="POST /limits/cooloff",
    ),
    _command(
        "limits:exclude",
        limits.Exclude,
        limits.PlayLimits,
        Door.ACTOR,
        http="POST /limits/exclude",
    ),
    _command("rain:start", rain.StartRain, rain.RainStarted, Door.ACTOR, http="POST /rain"),
    _command("feed:state", feed.GetFeed, feed.Feed, Door.SERVICE, http="GET /feed"),
    _command("feed:watch", feed.WatchFeed, feed.Feed, Door.SERVICE, http=None),
    _command("feed:unwatch", feed.UnwatchFeed, feed.FeedWatching, Door.SERVICE, http=None),
    _command("stats:get", stats.GetPlayerStats, stats.PlayerStats, Door.QUERY, http="GET /stats"),
    _command(
        "game:pause",
        floor.PauseGame,
        floor.Switched,
        Door.SERVICE,
        http="POST /games/pause",
        roles=STAFF,
    ),
    _command(
        "game:resume",
        floor.ResumeGame,
        floor.Switched,
        Door.SERVICE,
        http="POST /games/resume",
        roles=STAFF,
    ),
    _command(
        "game:switches",
        floor.GetSwitches,
        floor.Switches,
        Door.QUERY,
        http="GET /games/switches",
        roles=STAFF,
    ),
    _command(
        "node:stats",
        node.GetStats,
        node.Stats,
        Door.SERVICE,
        http="GET /node/stats",
        roles=STAFF,
    ),
    _command(
        "node:connections",
        node.GetConnections,
        node.Connections,
        Door.SERVICE,
        http="GET /node/connections",
        roles=STAFF,
    ),
    _command(
        "node:rooms",
        node.GetRooms,
        node.Rooms,
        Door.SERVICE,
        http="GET /node/rooms",
        roles=STAFF,
    ),
)

COMMANDS: Final[dict[str, Entry]] = {entry.name: entry for entry in _ENTRIES}
assert len(COMMANDS) == len(_ENTRIES), "a command is declared twice"

EVENTS: Final[dict[str, EventEntry]] = {
    event.name: event
    for event in (
        EventEntry("wallet:updated", wallet.WalletUpdated, "user:{id}"),
        EventEntry("round:opened", crash.RoundOpened, "crash:{table}"),
        EventEntry("bet:joined", crash.BetsJoined, "crash:{table}"),
        EventEntry("bet:left", crash.BetsLeft, "crash:{table}"),
        EventEntry("round:started", crash.RoundStarted, "crash:{table}"),
        EventEntry("round:ticked", crash.RoundTicked, "crash:{table}"),
        EventEntry("player:cashed_out", crash.PlayersCashedOut, "crash:{table}"),
        EventEntry("round:forced", crash.RoundForced, "crash:{table}"),
        EventEntry("round:crashed", crash.RoundCrashed, "crash:{table}"),
        EventEntry("round:voided", crash.RoundVoided, "crash:{table}"),
        EventEntry("table:paused", floor.TablePaused, "crash:{table}"),
        EventEntry("table:resumed", floor.TableResumed, "crash:{table}"),
        EventEntry("rain:fell", rain.RainFell, "the room it falls in"),
        EventEntry("feed:joined", feed.FeedJoined, "feed"),
        EventEntry("token:expiring", auth.TokenExpiring, "the socket itself"),
        EventEntry("server:draining", node.ServerDraining, "every socket"),
        EventEntry("room:interrupted", node.RoomInterrupted, "the room itself"),
    )
}
