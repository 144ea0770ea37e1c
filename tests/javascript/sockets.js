// The official client against the socket layer:
// node sockets.js URL '["polling","websocket"]' [msgpack]
// Prints one JSON object of what it saw; the test judges it.
import { io } from "socket.io-client";
import msgpackParser from "socket.io-msgpack-parser";

const [url, transportsJson, parserName] = process.argv.slice(2);
const parser = parserName === "msgpack" ? msgpackParser : undefined;
const transports = JSON.parse(transportsJson);

const once = (emitter, event) =>
  new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
const open = (namespace, auth, options = {}) =>
  io(url + namespace, { transports, auth, parser, forceNew: true, timeout: 5000, ...options });

async function connected(namespace, auth, options) {
  const socket = open(namespace, auth, options);
  const welcome = once(socket, "welcome");
  await once(socket, "connect");
  const [greeting] = await welcome;
  return { socket, greeting };
}

async function upgraded(socket) {
  const { engine } = socket.io;
  if (transports.length > 1 && engine.transport.name === "polling") {
    await once(engine, "upgrade");
  }
  return engine.transport.name;
}

const seen = {};

const { socket: alice, greeting } = await connected("/", { token: "t", rooms: ["table"] });
seen.greeting = greeting;
const early = await alice.emitWithAck("echo", "while the upgrade is under way");
seen.early = early;
seen.transport = await upgraded(alice);

seen.ack = await alice.emitWithAck("echo", { stake: 125, text: "né€😀" });
const binary = await alice.emitWithAck("echo", { a: [Uint8Array.of(0, 255)] });
seen.binary = [...binary.a[0]];

const order = [];
const done = new Promise((resolve) => {
  alice.on("echoed", (number) => {
    order.push(number);
    if (order.length === 300) resolve();
  });
});
for (let number = 0; number < 300; number++) alice.emit("echo", number);
await done;
seen.ordered = order.every((number, index) => number === index);

const { socket: bob } = await connected("/", { rooms: ["table"] });
const said = once(bob, "said");
alice.emit("say", "table", "hello");
seen.said = await said;

// A second namespace on the same connection.
const chat = alice.io.socket("/chat", { auth: { token: "t" } });
chat.connect();
await once(chat, "connect");
seen.chat = await chat.emitWithAck("echo", "in the chat");
const dismissed = once(chat, "disconnect");
chat.emit("dismiss");
seen.dismissed = (await dismissed)[0];
seen.stillThere = await alice.emitWithAck("echo", "in the main namespace");

const refused = open("/", { token: "wrong" }, { reconnection: false });
const [error] = await once(refused, "connect_error");
seen.refused = { message: error.message, data: error.data };
refused.close();

const nowhere = open("/nowhere", {}, { reconnection: false });
seen.nowhere = (await once(nowhere, "connect_error"))[0].message;
nowhere.close();

// Losing the connection is not the end: the client comes back by itself.
const firstId = bob.id;
const lost = once(bob, "disconnect");
const back = once(bob, "connect");
bob.emit("kick");
seen.kicked = (await lost)[0];
await back;
seen.cameBack = bob.id !== firstId;
seen.afterwards = await bob.emitWithAck("echo", "again");

bob.close();
alice.close();
console.log(JSON.stringify(seen));
