// Runs the verifier page's own arithmetic over the bets of a file, and prints what came of each.
import { readFileSync } from "node:fs";
import { webcrypto } from "node:crypto";

// Node 18 has it under another name only.
globalThis.crypto ??= webcrypto;

const [source, bets] = process.argv.slice(2).map((path) => readFileSync(path, "utf8"));
const page = await import(`data:text/javascript,${encodeURIComponent(source)}`);

async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof page.InvalidInput)) throw error;
    return { invalid: error.input };
  }
}

const work = {
  boards: () => page.BOARDS,
  hash: ({ server_seed }) => page.hashOf(server_seed),
  words: async ({ server_seed, client_seed, nonce, count }) =>
    (await page.draw(server_seed, client_seed, nonce, count)).words,
  bet: ({ game, texts }) =>
    attempt(() => page.GAMES[game].compute(page.read(page.GAMES[game], texts))),
  pasted: ({ text }) =>
    attempt(async () => {
      const { game, texts, claim } = page.parseBet(text);
      const computed = await page.GAMES[game].compute(page.read(page.GAMES[game], texts));
      return [...computed.checks, ...page.compare(claim, computed)].map(({ passed }) => passed);
    }),
};

const results = [];
for (const { ask, ...given } of JSON.parse(bets)) results.push(await work[ask](given));
const plain = (_, value) => (typeof value === "bigint" ? String(value) : value);
console.log(JSON.stringify(results, plain));
