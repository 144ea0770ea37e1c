"""What a newcomer pastes: an account, then a first bet. Tests run them as they stand here."""

from typing import Final

from protocol.catalogue import API_PREFIX

# Where `make serve` listens. The pages' script puts in the address that they were opened at.
ADDRESS: Final = "http://127.0.0.1:8080"

SHELL: Final = f"""\
curl {ADDRESS}{API_PREFIX}/auth/register -H 'Content-Type: application/json' \\
  -d '{{"email": "ada@example.com", "username": "ada", "password": "correct horse"}}'
"""

JAVASCRIPT: Final = f"""\
import {{ io }} from "socket.io-client";

const socket = io("{ADDRESS}", {{ auth: {{ token: process.argv[2] }} }});
socket.on("connect_error", (error) => console.error(error.message, error.data));
socket.on("wallet:updated", (balance) => console.log("balance", balance));

const ask = (name, argument) => socket.timeout(5000).emitWithAck(name, argument);
await ask("wallet:faucet", {{ currency: "PLAY", request_id: crypto.randomUUID() }});
const bet = {{
  stake: 100, currency: "PLAY", target: 5050, direction: "under", request_id: crypto.randomUUID(),
}};
console.log(await ask("dice:roll", bet));
socket.close();
"""

PYTHON: Final = f"""\
import asyncio, sys, uuid
import socketio

async def main(token: str) -> None:
    async with socketio.AsyncSimpleClient() as client:
        await client.connect("{ADDRESS}", auth={{"token": token}})
        faucet = {{"currency": "PLAY", "request_id": str(uuid.uuid4())}}
        await client.call("wallet:faucet", faucet, timeout=5)
        bet = {{"stake": 100, "currency": "PLAY", "target": 5050, "direction": "under",
               "request_id": str(uuid.uuid4())}}
        print(await client.call("dice:roll", bet, timeout=5))

asyncio.run(main(sys.argv[1]))
"""

REQUEST: Final = f"""\
curl "{ADDRESS}{API_PREFIX}/bets?limit=1" -H "Authorization: Bearer $TOKEN"
"""
