// The form around fairness.js, which stands before this in the page.
const element = (id) => document.getElementById(id);
const form = element("form");
const chooser = element("game");
const pasted = element("bet");

let claim = null;
// Computing takes a moment, in which more may be typed: only the newest result is shown.
let newest = 0;

function make(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text ?? "";
  if (className) made.className = className;
  return made;
}

function control(input) {
  if (input.kind !== "choice") {
    const made = document.createElement("input");
    made.inputMode = input.kind === "integer" ? "numeric" : "text";
    made.autocomplete = "off";
    made.spellcheck = false;
    return made;
  }
  const made = document.createElement("select");
  const choices = input.optional ? ["", ...input.choices] : input.choices;
  made.append(...choices.map((choice) => new Option(choice, choice)));
  return made;
}

function row(input) {
  const made = make("div", "", "row");
  const label = make("label", input.label);
  if (input.optional) label.append(make("span", " optional", "muted"));
  label.htmlFor = input.name;
  const field = control(input);
  field.id = field.name = input.name;
  made.append(label, field);
  if (input.hint) made.append(make("small", input.hint, "muted"));
  return made;
}

function choose(game, texts) {
  chooser.value = game;
  element("inputs").replaceChildren(...GAMES[game].inputs.map(row));
  for (const [name, text] of Object.entries(texts)) {
    const field = form.elements[name];
    if (field) field.value = text;
  }
}

function texts() {
  const names = GAMES[chooser.value].inputs.map((input) => input.name);
  return Object.fromEntries(names.map((name) => [name, form.elements[name].value]));
}

function complain(error) {
  if (!(error instanceof InvalidInput)) throw error;
  for (const field of form.elements) field.removeAttribute("aria-invalid");
  form.elements[error.input]?.setAttribute("aria-invalid", "true");
  element("result").hidden = true;
  element("complaint").textContent = error.message;
}

function show(computed) {
  for (const field of form.elements) field.removeAttribute("aria-invalid");
  element("complaint").textContent = "";
  element("value").textContent = computed.result;
  const won = computed.won ?? computed.outcome.won;
  const verdict = won === undefined ? "" : won ? "Won" : "Lost";
  const payout = computed.payout === null ? "" : `, payout ${computed.payout} minor units`;
  element("verdict").textContent = verdict + payout;
  const checks = [...computed.checks, ...(claim ? compare(claim, computed) : [])];
  element("checks").replaceChildren(...checks.map((check) => {
    const item = make("li", "", check.passed ? "passed" : "failed");
    item.append(make("strong", check.passed ? "Yes. " : "No! "), `${check.what}.`);
    item.append(make("code", check.detail));
    return item;
  }));
  element("steps").replaceChildren(...computed.steps.map((step) => {
    const item = make("li", step.what);
    item.append(make("code", step.value));
    return item;
  }));
  element("result").hidden = false;
}

async function update() {
  const turn = (newest += 1);
  const game = GAMES[chooser.value];
  try {
    const computed = await game.compute(read(game, texts()));
    if (turn === newest) show(computed);
  } catch (error) {
    if (turn === newest) complain(error);
  }
}

function paste() {
  claim = null;
  if (pasted.value.trim() === "") return;
  try {
    const bet = parseBet(pasted.value);
    claim = bet.claim;
    choose(bet.game, bet.texts);
    update();
  } catch (error) {
    complain(error);
  }
}

// A link may bring the values along, after the #, which is never sent to a server.
function start() {
  chooser.append(...Object.entries(GAMES).map(([name, game]) => new Option(game.title, name)));
  const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (given.bet !== undefined) pasted.value = given.bet;
  choose(Object.hasOwn(GAMES, given.game ?? "") ? given.game : Object.keys(GAMES)[0], given);
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  chooser.addEventListener("change", () => {
    claim = null;
    choose(chooser.value, {});
    update();
  });
  element("inputs").addEventListener("input", () => { claim = null; update(); });
  pasted.addEventListener("input", paste);
  if (pasted.value) paste();
  else if ((given.server_seed ?? given.hash) !== undefined) update();
}

if (available()) start();
else element("insecure").hidden = false;
