// Computes bets and rounds again, with nothing but the browser's own cryptography.
//
// A game is one entry of GAMES: its `inputs`, and `compute`, which takes their values and tells the
// `result` in a word, the `outcome` as the record has it, the `payout` in minor units (null where
// no stake was given), `checks` that passed or failed, and the `steps` that led there. What a
// record says and nobody can compute is `unsaid`.
// Games that draw from a seed pair are made by `seeded` and say only what is their own.

const encoder = new TextEncoder();

const hex = (bytes) =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

const hundredths = (value) => {
  const digits = String(value).padStart(3, "0");
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`;
};

// Browsers offer cryptography to pages from HTTPS, from localhost and from files only.
export const available = () => globalThis.crypto?.subtle !== undefined;

// A value that cannot be computed with: the input's name, and what is wrong with it.
export class InvalidInput extends Error {
  constructor(input, message) {
    super(message);
    this.input = input;
  }
}

// SHA-256 of a text: the commitment to a server seed, and the step of a chain of hashes.
export async function hashOf(text) {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(text))));
}

// HMAC-SHA256, keyed with a text.
async function hmac(keyText, message) {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const raw = encoder.encode(keyText);
  const key = await crypto.subtle.importKey("raw", raw, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(message)));
}

// The first `count` 32-bit big-endian words of block 0, block 1, ..., and how they were made.
export async function draw(serverSeed, clientSeed, nonce, count) {
  const words = [];
  const steps = [];
  for (let number = 0; words.length < count; number += 1) {
    const message = `${clientSeed}:${nonce}:${number}`;
    const bytes = await hmac(serverSeed, message);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < bytes.length && words.length < count; at += 4) {
      words.push(view.getUint32(at));
    }
    steps.push({ what: `HMAC-SHA256(server seed, "${message}")`, value: hex(bytes) });
  }
  return { words, steps };
}

// Turns what was typed into values: integers become BigInts, what is optional and empty is absent.
// Throws InvalidInput.
export function read(game, texts) {
  const values = {};
  for (const input of game.inputs) {
    const text = (texts[input.name] ?? "").trim();
    if (text === "") {
      if (!input.optional) throw new InvalidInput(input.name, `${input.label} is missing.`);
    } else if (input.kind === "integer") {
      values[input.name] = integer(input, text);
    } else if (input.kind === "tiles") {
      values[input.name] = tiles(input, text);
    } else if (input.kind === "hash") {
      values[input.name] = hash(input, text);
    } else if (input.kind === "choice" && !input.choices.includes(text)) {
      throw new InvalidInput(input.name, `${input.label} is ${input.choices.join(" or ")}.`);
    } else {
      values[input.name] = text;
    }
  }
  return values;
}

function integer(input, text) {
  // Sixteen digits hold every number of ours; a longer one is not worth reading.
  const value = /^\d{1,16}$/.test(text) ? BigInt(text) : -1n;
  if (value < input.least || value > input.most) {
    const range = `from ${input.least} to ${input.most}`;
    throw new InvalidInput(input.name, `${input.label} is a whole number ${range}.`);
  }
  return value;
}

function hash(input, text) {
  if (!/^[0-9a-f]{64}$/i.test(text)) {
    throw new InvalidInput(input.name, `${input.label} has 64 hexadecimal digits.`);
  }
  // It is a key as text, and in capitals it would be another one.
  return text.toLowerCase();
}

function tiles(input, text) {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.some((part) => !/^\d{1,2}$/.test(part) || Number(part) >= TILES)) {
    throw new InvalidInput(input.name, `${input.label} are 0 to 24, separated by commas.`);
  }
  return parts.map(Number);
}

const MOST = 2n ** 53n - 1n;
const TILES = 25;

const SEED_INPUTS = [
  { name: "server_seed", label: "Server seed", kind: "text", hint: "As it was revealed." },
  {
    name: "server_seed_hash",
    label: "Server seed hash",
    kind: "text",
    optional: true,
    hint: "As it was shown before the bet.",
  },
  { name: "client_seed", label: "Client seed", kind: "text" },
  { name: "nonce", label: "Nonce", kind: "integer", least: 0n, most: MOST },
];

// A multiplier in hundredths.
const multiplierInput = (name, label, hint, least = 101n) =>
  ({ name, label, kind: "integer", least, most: MOST_MULTIPLIER, optional: true, hint });

const MOST_MULTIPLIER = 100_000_000n;

const STAKE_INPUT = {
  name: "stake",
  label: "Stake",
  kind: "integer",
  least: 1n,
  most: MOST,
  optional: true,
  hint: "In minor units; needed for the payout only.",
};

// One check, or none where there is nothing to compare with.
async function compareHash(text, what, shown) {
  if (shown === undefined) return [];
  const hash = await hashOf(text);
  return [{ what, passed: hash === shown.toLowerCase(), detail: hash }];
}

// A game of server seed, client seed and nonce. `words` says how many words it needs, and `play`
// makes the result of them.
function seeded({ title, inputs, words, play }) {
  return {
    title,
    inputs: [...SEED_INPUTS, ...inputs],
    async compute(values) {
      const what = "The server seed's SHA-256 is the hash that was shown";
      const checks = await compareHash(values.server_seed, what, values.server_seed_hash);
      const count = words(values);
      const drawn = await draw(values.server_seed, values.client_seed, values.nonce, count);
      const played = play(drawn.words, values);
      return { payout: null, ...played, checks, steps: [...drawn.steps, ...played.steps] };
    },
  };
}

const DICE_OUTCOMES = 10001n;

function playDice([word], { target, direction, stake }) {
  const roll = (BigInt(word) * DICE_OUTCOMES) >> 32n;
  const steps = [
    { what: "Its first 32 bits as a number", value: String(word) },
    { what: `${word} × 10001 ÷ 2³², rounded down`, value: String(roll) },
    { what: "In hundredths, the roll", value: hundredths(roll) },
  ];
  const result = { result: hundredths(roll), outcome: { roll: Number(roll) }, steps };
  if (target === undefined || direction === undefined) return result;
  const winning = direction === "under" ? target : DICE_OUTCOMES - 1n - target;
  if (winning === 0n) {
    throw new InvalidInput("target", "This target leaves no way to win.");
  }
  const won = direction === "under" ? roll < target : roll > target;
  result.outcome.won = won;
  steps.push({ what: `Outcomes ${direction} ${hundredths(target)}`, value: `${winning} of 10001` });
  if (stake !== undefined) {
    const payout = (stake * 99n * DICE_OUTCOMES) / (100n * winning);
    const formula = `${stake} × 99 × 10001 ÷ (100 × ${winning}), rounded down`;
    steps.push({ what: `What a win pays: ${formula}`, value: String(payout) });
    result.payout = won ? payout : 0n;
  }
  return result;
}

// What was staked, times a multiplier in hundredths: the step that says so, and the payout.
function pays(steps, stake, multiplier, won = true) {
  if (stake === undefined) return null;
  const paid = won ? (stake * multiplier) / 100n : 0n;
  const formula = `${stake} × ${hundredths(multiplier)}, rounded down`;
  if (won) steps.push({ what: `The payout: ${formula}`, value: String(paid) });
  return paid;
}

const between = (least, value, most) => (value < least ? least : value > most ? most : value);

function playLimbo([word], { target, stake }) {
  const drawn = word === 0 ? MOST_MULTIPLIER : (99n * 2n ** 32n) / BigInt(word);
  const result = between(100n, drawn, MOST_MULTIPLIER);
  const steps = [
    { what: "Its first 32 bits as a number", value: String(word) },
    { what: `99 × 2³² ÷ ${word}, rounded down`, value: String(drawn) },
    { what: "In hundredths, from 1.00 to 1000000.00, the result", value: hundredths(result) },
  ];
  const outcome = { result: Number(result) };
  let payout = null;
  if (target !== undefined) {
    outcome.won = result >= target;
    payout = pays(steps, stake, target, outcome.won);
  }
  return { result: hundredths(result), outcome, steps, payout };
}

// Multipliers in hundredths from the middle bucket outward, by rows.
export const BOARDS = {
  low: {
    8: [50, 100, 110, 210, 560],
    9: [70, 100, 160, 200, 560],
    10: [50, 100, 110, 140, 300, 890],
    11: [70, 100, 130, 190, 300, 840],
    12: [50, 100, 110, 140, 160, 300, 1000],
    13: [70, 90, 120, 190, 300, 400, 810],
    14: [50, 100, 110, 130, 140, 190, 400, 710],
    15: [70, 100, 110, 150, 200, 300, 800, 1500],
    16: [50, 100, 110, 120, 140, 140, 200, 900, 1600],
  },
  medium: {
    8: [40, 70, 130, 300, 1300],
    9: [50, 90, 170, 400, 1800],
    10: [40, 60, 140, 200, 500, 2200],
    11: [50, 70, 180, 300, 600, 2400],
    12: [30, 60, 110, 200, 400, 1100, 3300],
    13: [40, 70, 130, 300, 600, 1300, 4300],
    14: [20, 50, 100, 190, 400, 700, 1500, 5800],
    15: [30, 50, 130, 300, 500, 1100, 1800, 8800],
    16: [30, 50, 100, 150, 300, 500, 1000, 4100, 11000],
  },
  high: {
    8: [20, 30, 150, 400, 2900],
    9: [20, 60, 200, 700, 4300],
    10: [20, 30, 90, 300, 1000, 7600],
    11: [20, 40, 140, 520, 1400, 12000],
    12: [20, 20, 70, 200, 810, 2400, 17000],
    13: [20, 20, 100, 400, 1100, 3700, 26000],
    14: [20, 20, 30, 190, 500, 1800, 5600, 42000],
    15: [20, 20, 50, 300, 800, 2700, 8300, 62000],
    16: [20, 20, 20, 200, 400, 900, 2700, 13000, 100000],
  },
};

function playPlinko(words, { rows, risk, stake }) {
  const turns = words.map((word) => word >>> 31);
  const bucket = turns.reduce((sum, turn) => sum + turn, 0);
  const fromMiddle = Math.floor(Math.abs(2 * bucket - Number(rows)) / 2);
  const multiplier = BOARDS[risk][rows][fromMiddle];
  const brief = hundredths(multiplier).replace(/\.?0+$/, "");
  const path = turns.map((turn) => (turn ? "R" : "L")).join("");
  const steps = [
    { what: "The first bit of each 32: 1 is a turn to the right", value: path },
    { what: "Turns to the right, the bucket", value: String(bucket) },
    { what: `What it pays with ${rows} rows and ${risk} risk`, value: brief },
  ];
  const payout = pays(steps, stake, BigInt(multiplier));
  return { result: brief, outcome: { bucket, multiplier }, steps, payout };
}

// In how many ways `count` things are chosen of `all`.
function waysToChoose(all, count) {
  let ways = 1n;
  for (let n = 0n; n < count; n += 1n) ways = (ways * (all - n)) / (n + 1n);
  return ways;
}

function playMines(words, { mines, picked, stake }) {
  const remaining = Array.from({ length: TILES }, (_, tile) => tile);
  const steps = [];
  const drawn = words.map((word) => {
    const left = remaining.length;
    const at = Number((BigInt(word) * BigInt(left)) >> 32n);
    const [tile] = remaining.splice(at, 1);
    const formula = `${word} × ${left} ÷ 2³², rounded down`;
    steps.push({ what: `${formula}: ${at}, which of those left is`, value: String(tile) });
    return tile;
  });
  const mined = [...drawn].sort((one, two) => one - two);
  const result = mined.join(", ");
  if (picked === undefined) return { result, outcome: { mines: mined }, steps };
  if (new Set(picked).size < picked.length) {
    throw new InvalidInput("picked", "A tile can be picked once only.");
  }
  if (picked.slice(0, -1).some((tile) => drawn.includes(tile))) {
    throw new InvalidInput("picked", "A mine ends the game: no tile can be picked after it.");
  }
  return { result, steps, ...endMines(steps, mined, picked, mines, stake) };
}

function endMines(steps, mined, picked, mines, stake) {
  const won = !mined.includes(picked.at(-1));
  const count = BigInt(picked.length);
  const [all, safe] = [waysToChoose(25n, count), won ? waysToChoose(25n - mines, count) : 1n];
  const multiplier = won ? (99n * all) / safe : 0n;
  const outcome = { mines: mined, picked, multiplier: Number(multiplier) };
  // Whether a player stopped or had to is not in the seeds.
  const cleared = won && picked.length === TILES - mined.length;
  const unsaid = won && !cleared ? ["ended"] : [];
  if (unsaid.length === 0) outcome.ended = won ? "cleared" : "mine";
  if (won) {
    const formula = `0.99 × ${all} ÷ ${safe}`;
    steps.push({ what: `What the picks are worth: ${formula}`, value: hundredths(multiplier) });
  }
  const payout = stake === undefined ? null : won ? (stake * 99n * all) / (100n * safe) : 0n;
  if (payout) steps.push({ what: `${stake} times that, rounded down`, value: String(payout) });
  return { outcome, unsaid, payout, won };
}

// Rounds that lie so far from the terminal hash are hashed down to it here: a second or less.
const MOST_STEPS = 10_000n;

async function checkTerminal({ hash, terminal_hash: terminal, position }, steps) {
  if (terminal === undefined || position === undefined) return [];
  if (position > MOST_STEPS) {
    const what = `Hashed ${position} times, it must be the terminal hash: this computes it`;
    const command = "pitboss verify crash --hash HASH --public-seed SEED --terminal-hash HASH";
    steps.push({ what, value: command });
    return [];
  }
  let found = hash;
  for (let step = 0n; step < position; step += 1n) found = await hashOf(found);
  const what = `Hashed ${position} times, it is the terminal hash`;
  return [{ what, passed: found === terminal.toLowerCase(), detail: found }];
}

async function computeCrash(values) {
  const { hash, public_seed: seed, edge_percent: edge = 3n } = values;
  const most = values.most_multiplier ?? MOST_MULTIPLIER;
  const digest = hex(await hmac(hash, seed));
  const number = BigInt(`0x${digest.slice(0, 13)}`);
  const drawn = ((100n - edge) * 2n ** 52n) / (2n ** 52n - number);
  const bust = between(100n, drawn, most);
  const steps = [
    { what: "The SHA-256 of the hash, which is the hash of the round before",
      value: await hashOf(hash) },
    { what: `HMAC-SHA256(hash, "${seed}")`, value: digest },
    { what: "Its first 52 bits as a number, h", value: String(number) },
    { what: `${100n - edge} × 2⁵² ÷ (2⁵² − h), rounded down`, value: String(drawn) },
    { what: `In hundredths, from 1.00 to ${hundredths(most)}, the bust`, value: hundredths(bust) },
  ];
  const what = "Its SHA-256 is the hash of the round before";
  const checks = [
    ...await compareHash(hash, what, values.hash_before),
    ...await checkTerminal(values, steps),
  ];
  const computed = { result: hundredths(bust), outcome: { bust: Number(bust) }, checks, steps };
  if (values.cashout === undefined) return { ...computed, payout: null };
  const won = values.cashout <= bust;
  return { ...computed, won, payout: pays(steps, values.stake, values.cashout, won) };
}

export const GAMES = {
  dice: seeded({
    title: "Dice",
    inputs: [
      {
        name: "target",
        label: "Target",
        kind: "integer",
        least: 0n,
        most: 10000n,
        optional: true,
        hint: "In hundredths: 5050 is 50.50.",
      },
      {
        name: "direction",
        label: "Direction",
        kind: "choice",
        choices: ["over", "under"],
        optional: true,
      },
      STAKE_INPUT,
    ],
    words: () => 1,
    play: playDice,
  }),
  limbo: seeded({
    title: "Limbo",
    inputs: [multiplierInput("target", "Target", "In hundredths: 250 is 2.50."), STAKE_INPUT],
    words: () => 1,
    play: playLimbo,
  }),
  plinko: seeded({
    title: "Plinko",
    inputs: [
      { name: "rows", label: "Rows", kind: "integer", least: 8n, most: 16n },
      { name: "risk", label: "Risk", kind: "choice", choices: ["low", "medium", "high"] },
      STAKE_INPUT,
    ],
    words: ({ rows }) => Number(rows),
    play: playPlinko,
  }),
  mines: seeded({
    title: "Mines",
    inputs: [
      { name: "mines", label: "Mines", kind: "integer", least: 1n, most: 24n },
      {
        name: "picked",
        label: "Picked tiles",
        kind: "tiles",
        optional: true,
        hint: "In their order, 0 to 24, row by row: 0, 7, 12.",
      },
      STAKE_INPUT,
    ],
    words: ({ mines }) => Number(mines),
    play: playMines,
  }),
  crash: {
    title: "Crash",
    inputs: [
      { name: "hash", label: "Hash of the round", kind: "hash" },
      { name: "public_seed", label: "Public seed", kind: "text" },
      {
        name: "hash_before",
        label: "Hash of the round before",
        kind: "text",
        optional: true,
        hint: "As it was shown then.",
      },
      {
        name: "terminal_hash",
        label: "Terminal hash of the chain",
        kind: "text",
        optional: true,
        hint: "As it was published; with the position, and up to round 10000.",
      },
      {
        name: "position",
        label: "Position in the chain",
        kind: "integer",
        least: 1n,
        most: MOST,
        optional: true,
      },
      {
        name: "edge_percent",
        label: "Edge of the table",
        kind: "integer",
        least: 0n,
        most: 99n,
        optional: true,
        hint: "In percent; 3 unless set.",
      },
      multiplierInput(
        "most_multiplier",
        "Highest multiplier of the table",
        "In hundredths; 1000000.00 unless set.",
        100n,
      ),
      multiplierInput("cashout", "Cash-out", "In hundredths: 150 is 1.50.", 100n),
      STAKE_INPUT,
    ],
    compute: computeCrash,
  },
};

// Takes a bet as `bet:get` answers it, with or without its envelope, or a round of `crash:history`
// apart: the game, what to type in, and what the server said came of it. Throws InvalidInput for
// `bet`.
export function parseBet(text) {
  let bet;
  try {
    bet = JSON.parse(text);
  } catch {
    throw new InvalidInput("bet", "That is not JSON.");
  }
  bet = bet?.data ?? bet;
  if (typeof bet?.hash === "string" && typeof bet.public_seed === "string") {
    return { game: "crash", texts: textsOf("crash", bet), claim: { outcome: { bust: bet.bust } } };
  }
  if (bet?.game === "crash") {
    throw new InvalidInput("bet", "Paste the bet's round, as crash:history answers it.");
  }
  if (!Object.hasOwn(GAMES, bet?.game ?? "")) {
    throw new InvalidInput("bet", "That is not a bet of a game that is known here.");
  }
  if (typeof bet.server_seed !== "string") {
    const message = "This bet's server seed is not revealed yet: rotate the seed, then ask again.";
    throw new InvalidInput("bet", message);
  }
  // Which tiles were picked is what the player chose, and known at the end only.
  const given = { picked: bet.outcome?.picked, ...bet.parameters, ...bet };
  const claim = { outcome: bet.outcome, payout: bet.payout };
  return { game: bet.game, texts: textsOf(bet.game, given), claim };
}

function textsOf(game, given) {
  const named = GAMES[game].inputs.map(({ name }) => [name, given[name]]);
  return Object.fromEntries(
    named.filter(([, value]) => value !== undefined && value !== null)
      .map(([name, value]) => [name, String(value)]),
  );
}

// Whether the server said the same: one check for each thing that it said.
export function compare(claim, computed) {
  const said = Object.entries(claim.outcome ?? {})
    .filter(([name]) => !computed.unsaid?.includes(name))
    .map(([name, value]) => check(name, value, computed.outcome[name]));
  if (claim.payout === undefined || computed.payout === null) return said;
  return [...said, check("payout", claim.payout, Number(computed.payout))];
}

function check(name, said, computed) {
  const [theirs, ours] = [said, computed].map((it) => JSON.stringify(it) ?? "nothing");
  return {
    what: `The server said the same of “${name}”`,
    passed: theirs === ours,
    detail: `${theirs} said, ${ours} computed`,
  };
}
