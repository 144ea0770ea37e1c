// The official JavaScript parsers as a filter: a line for each case in, one for what they read out.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../javascript/package.json", import.meta.url));
const socketio = require("socket.io-parser");
const engineio = require("engine.io-parser");

// What is nested deeper cannot be told, as whoever reads the line has bounds of their own.
const MAX_DEPTH = 200;
class Untold extends Error {}

// Values as JSON can carry them: bytes, and the numbers that it has no word for, in an object.
function plain(value, depth = 0) {
  if (depth > MAX_DEPTH) throw new Untold();
  if (Buffer.isBuffer(value)) return { $bytes: value.toString("base64") };
  if (typeof value === "number" && !Number.isFinite(value)) return { $number: String(value) };
  if (Array.isArray(value)) return value.map((item) => plain(item, depth + 1));
  if (value === null || typeof value !== "object") return value;
  const copy = Object.create(null);
  for (const key of Object.keys(value)) copy[key] = plain(value[key], depth + 1);
  return copy;
}

function packet([text, ...attachments]) {
  const decoder = new socketio.Decoder();
  let packet = null;
  decoder.on("decoded", (decoded) => (packet = decoded));
  decoder.add(text.toString("utf8").slice(1));
  for (const attachment of attachments) {
    if (packet === null) decoder.add(attachment);
  }
  if (packet === null) return { untold: true };
  const { type, nsp, id, data } = packet;
  return { type, nsp, id: plain(id ?? null), data: plain(data), hasData: data !== undefined };
}

function payload([body]) {
  const packets = engineio.decodePayload(body.toString("utf8"), "nodebuffer");
  if (packets.some(({ type }) => type === "error")) throw new Error("parser error");
  return { packets: packets.map(({ type, data }) => [type, plain(data ?? "")]) };
}

const readers = { packet, payload };

function read([parser, parts]) {
  try {
    return readers[parser](parts.map((part) => Buffer.from(part, "base64")));
  } catch (error) {
    return error instanceof Untold ? { untold: true } : { error: String(error.message) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(read(JSON.parse(line))) + "\n");
}
