// A casino's usual server: Socket.IO, wallets in Redis by one atomic script, PostgreSQL behind it.
//
// Its one argument is JSON: `redis`, the path of a socket; `database_url`; `limits` of the table by
// currency, and `errors` by code.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { check, Refusal } from "./table.js";
import { Wallets } from "./wallets.js";
import { WriteBehind } from "./write_behind.js";

const { redis, database_url, limits, errors } = JSON.parse(process.argv[2]);
const wallets = new Wallets(redis);
const rows = new WriteBehind(database_url);

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false });

io.use(async (socket, next) => {
  try {
    const player = await wallets.enter(socket.handshake.auth.token);
    if (player === null) {
      throw Object.assign(new Error("token_invalid"), { data: errors.token_invalid });
    }
    socket.data.player = player;
    if (socket.conn.readyState === "open") socket.conn.once("close", () => wallets.leave(player));
    else wallets.leave(player);
    next();
  } catch (error) {
    next(error);
  }
});

io.on("connection", (socket) => {
  const { player } = socket.data;
  socket.on("dice:roll", async (command, acknowledge) => {
    let answer;
    try {
      answer = { success: true, data: await roll(player, command), meta: { at_ms: Date.now() } };
    } catch (error) {
      answer = { success: false, error: described(error), meta: { at_ms: Date.now() } };
    }
    if (typeof acknowledge === "function") acknowledge(answer);
  });
});

async function roll(player, command) {
  const bet = check(command, limits);
  if (rows.full) throw new Refusal("overloaded");
  const settled = await wallets.place(player, bet);
  if (settled.fresh) rows.add(player, bet, settled, Date.now());
  const { stake, currency, target, direction } = bet;
  const { seq, balance, payout, pair, nonce, roll: outcome, won } = settled;
  return {
    game: "dice",
    bet_id: `${player.id}-${seq}`,
    roll: outcome,
    won,
    target,
    direction,
    currency,
    stake,
    payout,
    pair,
    nonce,
    balance: { currency, available: balance, held: 0, seq },
  };
}

function described(error) {
  const known = error instanceof Refusal;
  if (!known) console.error(error);
  return { ...errors[known ? error.code : "storage_unavailable"], details: error.details ?? {} };
}

await rows.start();
await wallets.ready();
http.listen(0, "127.0.0.1", () => {
  console.log(`listening on port ${http.address().port}`);
});
