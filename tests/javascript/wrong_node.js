// A player whose requests come to any node, with the official client:
// node wrong_node.js URL TOKEN '["polling","websocket"]' BETS [msgpack]
// Bets go on before, during and after the upgrade. Prints one JSON object; the test judges it.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { io } from "socket.io-client";
import msgpackParser from "socket.io-msgpack-parser";

const [url, token, transportsJson, bets, parserName] = process.argv.slice(2);
const transports = JSON.parse(transportsJson);
const socket = io(url, {
  transports,
  auth: { token },
  parser: parserName === "msgpack" ? msgpackParser : undefined,
  reconnection: false,
  timeout: 5000,
});
const seen = { disconnects: [], upgraded: false, interrupted: 0, wagered: 0, won: 0 };
const acks = new Map();
const ACK = 3;
socket.io.decoder.on("decoded", ({ type, id }) => {
  if (type === ACK) acks.set(id, (acks.get(id) ?? 0) + 1);
});
socket.on("disconnect", (reason) => seen.disconnects.push(reason));
socket.on("room:interrupted", () => { seen.interrupted += 1; });
socket.io.engine.on("upgrade", () => { seen.upgraded = true; });

await new Promise((resolve, reject) => {
  socket.on("connect", resolve);
  socket.on("connect_error", reject);
});
const firstId = socket.id;
const upgrades = transports.length > 1;
const answers = [];
// As many after the upgrade as without one, so that it is in the midst of them.
for (let left = Number(bets); left > 0; left -= seen.upgraded || !upgrades ? 1 : 0) {
  const bet = {
    stake: 1,
    currency: "PLAY",
    target: 5050,
    direction: "over",
    request_id: randomUUID(),
  };
  answers.push(socket.timeout(20000).emitWithAck("dice:roll", bet));
  await sleep(1);
}
for (const { success, data } of await Promise.all(answers)) {
  if (!success) continue;
  seen.wagered += 1;
  seen.won += data.payout;
}
seen.sent = answers.length;
seen.acked = acks.size;
seen.twice = [...acks.values()].filter((count) => count > 1).length;
const wallet = await socket.emitWithAck("wallet:get", {});
seen.available = wallet.data.balances.find(({ currency }) => currency === "PLAY").available;
seen.transport = socket.io.engine.transport.name;
seen.sameSocket = socket.id === firstId;
console.log(JSON.stringify(seen));
socket.close();
