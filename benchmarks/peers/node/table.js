// The rules of a dice bet: what is taken, what is drawn, what is paid. All of it in exact integers.
import { createHmac } from "node:crypto";

const OUTCOMES = 10_001;
const RETURN_PERCENT = 99;
const WORD = 2 ** 32;
const FIELDS = new Set(["stake", "currency", "target", "direction", "request_id", "game"]);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** A bet that is not taken; `code` names an error of the house. */
export class Refusal extends Error {
  constructor(code, details = {}) {
    super(code);
    this.code = code;
    this.details = details;
  }
}

/** Check every field of a command and the table's limits; adds what a win would pay. */
export function check(command, limits) {
  if (command === null || typeof command !== "object") throw new Refusal("malformed");
  for (const field in command) if (!FIELDS.has(field)) throw new Refusal("malformed", { field });
  const { stake, currency, target, direction, request_id, game } = command;
  if (game !== undefined && game !== "dice") throw new Refusal("malformed", { field: "game" });
  if (!Number.isSafeInteger(stake) || stake < 1) throw new Refusal("malformed", { field: "stake" });
  if (!Number.isInteger(target) || target < 0 || target > 10_000) {
    throw new Refusal("malformed", { field: "target" });
  }
  if (direction !== "over" && direction !== "under") {
    throw new Refusal("malformed", { field: "direction" });
  }
  // Version 8 is the house's own.
  if (typeof request_id !== "string" || !UUID.test(request_id) || request_id[14] === "8") {
    throw new Refusal("malformed", { field: "request_id" });
  }
  const table = typeof currency === "string" && Object.hasOwn(limits, currency) && limits[currency];
  if (!table) throw new Refusal("unknown_currency");
  const winning = direction === "under" ? target : OUTCOMES - 1 - target;
  if (winning === 0) throw new Refusal("target_out_of_range", { target });
  if (stake < table.least_stake_minor) throw new Refusal("stake_too_small");
  if (stake > table.most_stake_minor) throw new Refusal("stake_too_large");
  const win = winOf(stake, winning);
  if (win - stake > table.most_profit_minor) throw new Refusal("profit_too_large");
  return { stake, currency, target, direction, requestId: request_id, win };
}

/** stake * 99 * 10001 / (100 * winning), rounded down. */
function winOf(stake, winning) {
  const product = stake * RETURN_PERCENT * OUTCOMES;
  if (!Number.isSafeInteger(product)) {
    return Number((BigInt(stake) * BigInt(RETURN_PERCENT * OUTCOMES)) / BigInt(100 * winning));
  }
  const divisor = 100 * winning;
  return (product - (product % divisor)) / divisor;
}

/** The roll of a nonce, in hundredths. */
export function draw(player, nonce) {
  const word = createHmac("sha256", player.serverSeed)
    .update(`${player.clientSeed}:${nonce}:0`)
    .digest()
    .readUInt32BE(0);
  return Math.floor((word * OUTCOMES) / WORD);
}

/** Whether a roll wins: strictly over, or strictly under, the target. */
export function wins(roll, bet) {
  return bet.direction === "under" ? roll < bet.target : roll > bet.target;
}
