// Rows on their way to PostgreSQL: all that gathered in a tenth of a second, in one COPY.
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import pg from "pg";
import { from } from "pg-copy-streams";

const EVERY_MS = 100;
// Ten seconds of bets. More means that PostgreSQL is away: then no bet is taken.
const MOST_ROWS = 200_000;
const COPY =
  "copy wallet_entries (wallet_id, seq, currency, kind, available_delta, held_delta," +
  " available_after, held_after, request_id, at_ms, game, stake, payout, pair, nonce," +
  " parameters, outcome) from stdin";

/** Rows that wait, and the connection that takes them. */
export class WriteBehind {
  constructor(databaseUrl) {
    this.client = new pg.Client({ connectionString: databaseUrl });
    this.rows = [];
    this.writing = 0;
  }

  async start() {
    await this.client.connect();
    setInterval(() => this.#flush(), EVERY_MS);
  }

  /** Whether too many rows are not yet in the table: those being written may never get there. */
  get full() {
    return this.rows.length + this.writing >= MOST_ROWS;
  }

  /** Add the row of a settled bet. Nothing in it needs escaping: all of it was checked or made. */
  add(player, bet, settled, atMs) {
    const { stake, currency, target, direction, requestId } = bet;
    const { seq, balance, payout, pair, nonce, roll, won } = settled;
    this.rows.push(
      `${player.id}\t${seq}\t${currency}\tbet\t${payout - stake}\t0\t${balance}\t0\t${requestId}` +
        `\t${atMs}\tdice\t${stake}\t${payout}\t${pair}\t${nonce}` +
        `\t{"target":${target},"direction":"${direction}"}` +
        `\t{"roll":${roll},"won":${won}}\n`,
    );
  }

  /** One at a time. A failure ends the process: what was acknowledged would be missing silently. */
  async #flush() {
    if (this.writing > 0 || this.rows.length === 0) return;
    this.writing = this.rows.length;
    const text = this.rows.join("");
    this.rows = [];
    await pipeline(Readable.from([text]), this.client.query(from(COPY)));
    this.writing = 0;
  }
}
