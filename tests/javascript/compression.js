// The official client where the server may compress WebSockets: node compression.js URL
// Prints one JSON object of what it saw; the test judges it.
import { io } from "socket.io-client";

const [url] = process.argv.slice(2);
const open = (perMessageDeflate) =>
  io(url, { transports: ["websocket"], forceNew: true, timeout: 5000, perMessageDeflate });

async function echoed(perMessageDeflate) {
  const socket = open(perMessageDeflate);
  await new Promise((resolve) => socket.once("connect", resolve));
  const { ws } = socket.io.engine.transport;
  const before = ws._socket.bytesRead;
  const text = "the same words again, ".repeat(1000);
  const bytes = new Uint8Array(20_000).fill(7);
  const answers = [
    (await socket.emitWithAck("echo", text)) === text,
    Buffer.compare(await socket.emitWithAck("echo", bytes), bytes) === 0,
    (await socket.emitWithAck("echo", "né€😀")) === "né€😀",
  ];
  const received = ws._socket.bytesRead - before;
  socket.close();
  return { extensions: ws.extensions, answers, small: received < 2_000 };
}

const seen = {
  offered: await echoed({ threshold: 0 }),
  limited: await echoed({ threshold: 0, serverMaxWindowBits: 9, serverNoContextTakeover: true }),
  plain: await echoed(false),
};
console.log(JSON.stringify(seen));
process.exit(0);
