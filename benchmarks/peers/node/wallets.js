// Wallets in Redis: one atomic script a bet.
import { createSecretKey } from "node:crypto";
import { readFileSync } from "node:fs";
import Redis from "ioredis";
import { draw, Refusal, wins } from "./table.js";

const SCRIPT = readFileSync(new URL("../wallet.lua", import.meta.url), "utf8");
// A retry comes within seconds; after a day nobody asks for the same bet again.
const REMEMBERED_S = "86400";
// A nonce is only taken beforehand where another process plays for the same player.
const TRIES = 3;

const [NEW, KNOWN, NOT_COVERED, TOO_MUCH, USED_NONCE] = [0, 1, 2, 3, 4];

/** The wallets of the players who are connected here. */
export class Wallets {
  constructor(path) {
    this.redis = new Redis({ path });
    this.redis.defineCommand("bet", { numberOfKeys: 2, lua: SCRIPT });
    this.corked = false;
    this.players = new Map();
  }

  /** Resolves once Redis answers. */
  async ready() {
    await this.redis.ping();
  }

  /** The player whose token it is, or null. Each must be let go with `leave`. */
  async enter(token) {
    const id = typeof token === "string" ? await this.redis.get(`t:${token}`) : null;
    if (id === null) return null;
    let known = this.players.get(id);
    if (known === undefined) {
      known = { player: this.#read(id), sockets: 0 };
      this.players.set(id, known);
    }
    known.sockets += 1;
    try {
      return await known.player;
    } catch (error) {
      this.leave({ id });
      throw error;
    }
  }

  /** One of the player's sockets is gone. */
  leave({ id }) {
    const known = this.players.get(id);
    known.sockets -= 1;
    if (known.sockets === 0) this.players.delete(id);
  }

  async #read(id) {
    const fields = ["server_seed", "client_seed", "pair", "nonce"];
    const [seed, clientSeed, pair, nonce] = await this.redis.hmget(`w:${id}`, fields);
    // A key that is made once is quicker than its text for each bet.
    const serverSeed = createSecretKey(Buffer.from(seed));
    const numbers = { pair: Number(pair), nonce: Number(nonce) };
    return { id, wallet: `w:${id}`, serverSeed, clientSeed, ...numbers };
  }

  /** Settle a bet. Returns what stands in its answer and its row; `fresh` is false for a replay. */
  async place(player, bet) {
    for (let tries = 0; tries < TRIES; tries++) {
      const nonce = ++player.nonce;
      const roll = draw(player, nonce);
      const won = wins(roll, bet);
      const payout = won ? bet.win : 0;
      const { stake, currency, target, direction } = bet;
      const drawn = `${stake}:${payout}:${player.pair}:${nonce}:${roll}`;
      const [code, first, second] = await this.#bet(
        player.wallet,
        `r:${player.id}:${bet.requestId}`,
        ...[currency, stake, payout, bet.win, nonce, REMEMBERED_S],
        `${drawn}:${target}:${direction}:${currency}`,
      );
      switch (code) {
        case NEW:
          return settled(true, first, second, payout, player.pair, nonce, roll, won);
        case KNOWN:
          return replay(first, bet);
        case NOT_COVERED:
          throw new Refusal("insufficient_balance", { available: first });
        case TOO_MUCH:
          throw new Refusal("balance_limit");
        case USED_NONCE:
          player.nonce = Math.max(player.nonce, first);
      }
    }
    throw new Refusal("overloaded");
  }

  /** All that is sent in one turn of the loop leaves in one write, and Redis reads it at once. */
  #bet(...args) {
    const { stream } = this.redis;
    if (!this.corked && stream) {
      this.corked = true;
      stream.cork();
      setImmediate(() => {
        this.corked = false;
        stream.uncork();
      });
    }
    return this.redis.bet(...args);
  }
}

/** The first answer again, unless another bet was meant. */
function replay(remembered, bet) {
  const [seq, balance, stake, payout, pair, nonce, roll, target, direction, currency] =
    remembered.split(":");
  const same =
    Number(stake) === bet.stake &&
    Number(target) === bet.target &&
    direction === bet.direction &&
    currency === bet.currency;
  if (!same) throw new Refusal("request_mismatch");
  const numbers = [seq, balance, payout, pair, nonce, roll].map(Number);
  return settled(false, ...numbers, wins(Number(roll), bet));
}

function settled(fresh, seq, balance, payout, pair, nonce, roll, won) {
  return { fresh, seq, balance, payout, pair, nonce, roll, won };
}
