// A player at every game, with the official client, in units of the wire:
// node games.js URL TOKEN TABLE '["polling","websocket"]'
// Prints one JSON object of what it saw; the test judges it.
import { randomUUID } from "node:crypto";
import { io } from "socket.io-client";

const [url, token, table, transports] = process.argv.slice(2);
const socket = io(url, { transports: JSON.parse(transports), auth: { token }, timeout: 5000 });
const once = (event, fits = () => true) =>
  new Promise((resolve) => {
    const heard = (data) => {
      if (!fits(data)) return;
      socket.off(event, heard);
      resolve(data);
    };
    socket.on(event, heard);
  });
const call = (command, fields = {}) => socket.emitWithAck(command, fields);
const ok = async (command, fields) => {
  const answer = await call(command, fields);
  if (!answer.success) throw new Error(`${command}: ${JSON.stringify(answer.error)}`);
  return answer.data;
};
const code = async (command, fields) => (await call(command, fields)).error?.code;
const wager = (fields) => ({ stake: 100, currency: "PLAY", request_id: randomUUID(), ...fields });

await once("connect");
const seen = {};

seen.dice = await ok("dice:roll", wager({ target: 5050, direction: "over" }));
seen.limbo = await ok("limbo:play", wager({ target: 200 }));
seen.plinko = await ok("plinko:drop", wager({ rows: 16, risk: "high" }));
const mixed = [
  wager({ game: "plinko", rows: 8, risk: "low" }),
  wager({ game: "limbo", target: 150 }),
  wager({ game: "dice", target: 100, direction: "over" }),
];
seen.mixed = (await ok("bets:place", { bets: mixed })).results;

seen.started = await ok("mines:start", wager({ mines: 1 }));
for (let tile = 0; tile < 25; tile += 1) {
  const fields = { currency: "PLAY", tile, request_id: randomUUID() };
  seen.revealed = await ok("mines:reveal", fields);
  if (seen.revealed.ended !== null || tile === 1) break;
}
if (seen.revealed.ended === null) {
  seen.revealed = await ok("mines:cashout", { currency: "PLAY", request_id: randomUUID() });
}

const number = Number(table);
const events = ["round:opened", "round:started", "round:ticked", "round:crashed"];
seen.events = Object.fromEntries(events.map((event) => [event, 0]));
for (const event of events) socket.on(event, () => { seen.events[event] += 1; });
seen.watched = await ok("crash:watch", { table: number });
// Until a round lives long enough to cash out by hand.
for (let tries = 0; tries < 20; tries += 1) {
  const opened = await once("round:opened");
  const started = once("round:started", (data) => data.round_id === opened.round_id);
  const crashed = once("round:crashed", (data) => data.round_id === opened.round_id);
  seen.bet = await ok("crash:bet", wager({ round_id: opened.round_id }));
  seen.twice = await code("crash:bet", wager({ round_id: opened.round_id }));
  await started;
  const cashedOut = await call("crash:cashout", { round_id: opened.round_id });
  if (cashedOut.success) {
    seen.cashedOut = cashedOut.data;
    seen.again = await code("crash:cashout", { round_id: opened.round_id });
  }
  seen.crashed = await crashed;
  seen.stale = await code("crash:cashout", { round_id: opened.round_id });
  if (cashedOut.success) break;
}
seen.rounds = (await ok("crash:history", { table: number })).rounds;
seen.wallet = await ok("wallet:get");
console.log(JSON.stringify(seen));
socket.close();
