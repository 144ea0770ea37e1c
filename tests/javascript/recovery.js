// The official client on a bad network: node recovery.js URL '["websocket"]' [msgpack]
// It hears until it is told to end, and prints what it heard and how it came back.
import { io } from "socket.io-client";
import msgpackParser from "socket.io-msgpack-parser";

const [url, transportsJson, parserName] = process.argv.slice(2);

const socket = io(url, {
  transports: JSON.parse(transportsJson),
  auth: { recover: true, rooms: ["table"], quiet: true },
  parser: parserName === "msgpack" ? msgpackParser : undefined,
  reconnectionDelay: 5,
  reconnectionDelayMax: 20,
});

const heard = [];
const seen = { connects: 0, recovered: 0 };

socket.on("connect", () => {
  seen.connects += 1;
  if (socket.recovered) seen.recovered += 1;
  if (seen.connects === 1) socket.emit("arrived");
});
socket.on("said", ({ n }) => heard.push(n));
socket.on("ended", () => {
  socket.close();
  console.log(JSON.stringify({ ...seen, heard }));
});
