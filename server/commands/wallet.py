"""The wallet's commands on their way to actors and queries."""

import asyncpg

from actors.runtime.node import Node
from actors.wallet import facts
from actors.wallet.commands import Adjust, SendTip
from actors.wallet.rules import WALLET
from protocol.commands.wallet import Deposit, Faucet, GetHistory, History, Tip, Withdraw
from protocol.errors import PRODUCTION_REFUSES, UNKNOWN_CURRENCY, UNKNOWN_RECIPIENT, Failure
from protocol.money import CURRENCIES, CurrencyClass
from server.auth.service import Accounts
from server.caller import Caller
from server.commands.own import own_wallet
from server.reply import Answer
from server.router import Handler
from server.work import Work
from storage.queries.history import history
from storage.queries.users import exists

# What one pull of the faucet gives, in whole units.
FAUCET_UNITS = {CurrencyClass.FIAT: 1_000, CurrencyClass.CRYPTO: 1, CurrencyClass.PLAY: 1_000}


class WalletCommands:
    """Handlers of `wallet:*`."""

    def __init__(self, node: Node, pool: asyncpg.Pool, accounts: Accounts, *, faucet: bool) -> None:
        self._node = node
        self._pool = pool
        self._accounts = accounts
        self._faucet_on = faucet

    def handlers(self, work: Work) -> dict[str, Handler]:
        """All of them, by name."""
        return {
            "wallet:get": own_wallet(self._node),
            "wallet:history": work.answering(self._history),
            "wallet:tip": work.preparing(self._tip),
            "wallet:deposit": work.preparing(self._deposit),
            "wallet:withdraw": work.preparing(self._withdraw),
            "wallet:faucet": self._faucet,
        }

    async def _history(self, caller: Caller, command: GetHistory) -> History:
        return await history(self._pool, caller.user_id, command)

    async def _tip(self, caller: Caller, command: Tip, answer: Answer) -> None:
        receiver = await self._accounts.find_user(command.to)
        if receiver is None:
            raise Failure(UNKNOWN_RECIPIENT, to=command.to)
        tip = SendTip(receiver.user_id, command.currency, command.amount, command.request_id)
        self._node.send(WALLET, caller.user_id, tip, answer)

    async def _deposit(self, caller: Caller, command: Deposit, answer: Answer) -> None:
        await self._adjust(caller, command, facts.DEPOSIT, answer)

    async def _withdraw(self, caller: Caller, command: Withdraw, answer: Answer) -> None:
        await self._adjust(caller, command, facts.WITHDRAWAL, answer)

    async def _adjust(
        self, caller: Caller, command: Deposit | Withdraw, kind: str, answer: Answer
    ) -> None:
        if not await exists(self._pool, command.user_id):
            raise Failure(UNKNOWN_RECIPIENT, user_id=command.user_id)
        adjust = Adjust(kind, command.currency, command.amount, caller.user_id, command.request_id)
        self._node.send(WALLET, command.user_id, adjust, answer)

    def _faucet(self, caller: Caller, command: Faucet, answer: Answer) -> None:
        currency = CURRENCIES.get(command.currency)
        if not self._faucet_on:
            answer.reject(Failure(PRODUCTION_REFUSES))
        elif currency is None:
            answer.reject(Failure(UNKNOWN_CURRENCY, currency=command.currency))
        else:
            amount_minor = FAUCET_UNITS[currency.class_] * 10**currency.exponent
            pull = Adjust(
                facts.FAUCET, currency.code, amount_minor, caller.user_id, command.request_id
            )
            self._node.send(WALLET, caller.user_id, pull, answer)
