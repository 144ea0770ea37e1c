// Computes bets again from their seeds, with nothing but the browser's own cryptography.
//
// A game is one entry of GAMES: its `inputs`, and `compute`, which takes their values and tells the
// `result` in a word, the `outcome` as the bet's record has it, the `payout` in minor units (null
// where no stake was given), `checks` that passed or failed, and the `steps` that led there.
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

// The commitment shown before play: SHA-256 of the server seed as text.
export async function seedHash(serverSeed) {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(serverSeed))));
}

// One block: HMAC-SHA256 keyed with the server seed as text.
async function block(serverSeed, message) {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const raw = encoder.encode(serverSeed);
  const key = await crypto.subtle.importKey("raw", raw, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(message)));
}

// The first `count` 32-bit big-endian words of block 0, block 1, ..., and how they were made.
export async function draw(serverSeed, clientSeed, nonce, count) {
  const words = [];
  const steps = [];
  for (let number = 0; words.length < count; number += 1) {
    const message = `${clientSeed}:${nonce}:${number}`;
    const bytes = await block(serverSeed, message);
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

const MOST = 2n ** 53n - 1n;

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

const STAKE_INPUT = {
  name: "stake",
  label: "Stake",
  kind: "integer",
  least: 1n,
  most: MOST,
  optional: true,
  hint: "In minor units; needed for the payout only.",
};

async function checkHash(values) {
  if (values.server_seed_hash === undefined) return [];
  const hash = await seedHash(values.server_seed);
  return [{
    what: "The server seed's SHA-256 is the hash that was shown",
    passed: hash === values.server_seed_hash.toLowerCase(),
    detail: hash,
  }];
}

// A game of server seed, client seed and nonce. `words` says how many words it needs, and `play`
// makes the result of them.
function seeded({ title, inputs, words, play }) {
  return {
    title,
    inputs: [...SEED_INPUTS, ...inputs],
    async compute(values) {
      const checks = await checkHash(values);
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
};

// Takes a bet as `bet:get` answers it, with or without its envelope, apart: the game, what to type
// in, and what the server said came of it. Throws InvalidInput for `bet`.
export function parseBet(text) {
  let bet;
  try {
    bet = JSON.parse(text);
  } catch {
    throw new InvalidInput("bet", "That is not JSON.");
  }
  bet = bet?.data ?? bet;
  if (!Object.hasOwn(GAMES, bet?.game ?? "")) {
    throw new InvalidInput("bet", "That is not a bet of a game that is known here.");
  }
  if (typeof bet.server_seed !== "string") {
    const message = "This bet's server seed is not revealed yet: rotate the seed, then ask again.";
    throw new InvalidInput("bet", message);
  }
  const given = { ...bet.parameters, ...bet };
  const texts = {};
  for (const { name } of GAMES[bet.game].inputs) {
    if (given[name] !== undefined && given[name] !== null) texts[name] = String(given[name]);
  }
  return { game: bet.game, texts, claim: { outcome: bet.outcome, payout: bet.payout } };
}

// Whether the server said the same: one check for each thing that it said.
export function compare(claim, computed) {
  const said = Object.entries(claim.outcome ?? {}).map(([name, value]) =>
    check(name, value, computed.outcome[name]));
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
