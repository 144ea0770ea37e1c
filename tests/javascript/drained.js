// A client on each transport is told that the server drains, loses it, and comes back.
// node drained.js URL
import { io } from "socket.io-client";

const [url] = process.argv.slice(2);
const once = (emitter, event) =>
  new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

async function drained(transport) {
  const socket = io(url, { transports: [transport], forceNew: true, reconnectionDelay: 100 });
  const draining = once(socket, "server:draining");
  await once(socket, "connect");
  const firstId = socket.id;
  const lost = once(socket, "disconnect");
  const [told] = await draining;
  await lost;
  await once(socket, "connect");
  const cameBack = socket.id !== firstId;
  socket.close();
  return { told, cameBack };
}

const [polling, websocket] = await Promise.all([drained("polling"), drained("websocket")]);
console.log(JSON.stringify({ polling, websocket }));
