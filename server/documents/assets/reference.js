// The page reads well without this: it adds a search, copying, and this server's own address.
"use strict";

const search = document.getElementById("search");
const entries = [...document.querySelectorAll("[data-name]")];
const links = [...document.querySelectorAll(".contents li")];
const groups = [...document.querySelectorAll("[data-group]")];

function find(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (element) => {
    const content = element.textContent.toLowerCase();
    return words.every((word) => content.includes(word));
  };
  const shown = new Set();
  for (const entry of entries) {
    entry.hidden = words.length > 0 && !matches(entry);
    if (!entry.hidden) shown.add(`#${entry.dataset.name}`);
  }
  for (const link of links) {
    const target = link.firstElementChild.getAttribute("href");
    const known = entries.some((entry) => `#${entry.dataset.name}` === target);
    link.hidden = words.length > 0 && (known ? !shown.has(target) : !matches(link));
  }
  for (const group of groups) {
    group.hidden = words.length > 0 && !group.querySelector("[data-name]:not([hidden])");
  }
}

search.hidden = false;
search.addEventListener("input", () => find(search.value));
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, textarea");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && event.target === search) {
    search.value = "";
    find("");
  }
});

for (const snippet of document.querySelectorAll(".snippet")) {
  const code = snippet.querySelector("code");
  if (location.protocol.startsWith("http")) {
    code.textContent = code.textContent.replaceAll(snippet.dataset.address, location.origin);
  }
  if (!navigator.clipboard) continue;
  const button = document.createElement("button");
  button.className = "copy";
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  snippet.append(button);
}
