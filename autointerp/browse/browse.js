// Keys, copying, and what hangs on pointing. Every page can be read and every form sent without it.
"use strict";

const KEYS = {
  n: () => follow("a[rel=next]"),
  p: () => follow("a[rel=prev]"),
  r: () => follow("a[data-key=r]"),
  o: () => follow("nav a[href='/']"),
  j: () => step(1),
  k: () => step(-1),
  "/": () => document.querySelector("input[type=search], textarea")?.focus(),
  "?": () => document.getElementById("keys")?.toggleAttribute("hidden"),
};

function follow(selector) {
  document.querySelector(selector)?.click();
}

// The next or the previous row's link.
function step(by) {
  const links = [...document.querySelectorAll("[data-rows] tr td:first-child a, [data-rows] > li > a")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("input, textarea, select");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) field?.form?.requestSubmit();
  if (event.key === "Escape") {
    document.getElementById("keys")?.setAttribute("hidden", "");
    field?.blur();
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (field && field.type !== "checkbox") return;
  const act = KEYS[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy], button[data-copy-text]");
  if (!button) return;
  const shown = button.dataset.copy ?? button.closest("p").querySelector("bdi").textContent;
  await navigator.clipboard.writeText(asWritten(shown));
  button.textContent = "copied";
  setTimeout(() => (button.textContent = "copy"), 1200);
});

// The signs for line breaks, tabs and many blanks are what they stand for again.
function asWritten(text) {
  const blanks = (_, low) => " ".repeat(low ? Number([...low].map((c) => c.charCodeAt(0) - 0x2080).join("")) : 1);
  return text.replaceAll("⏎", "\n").replaceAll("⇥", "\t").replace(/␣([₀-₉]*)/g, blanks);
}

// Boxes to tick stay as they were left, from page to page.
for (const box of document.querySelectorAll("input[type=checkbox][data-kept]")) {
  box.checked = localStorage.getItem(box.id) === "on";
  box.addEventListener("change", () => localStorage.setItem(box.id, box.checked ? "on" : ""));
}
for (const hidden of document.querySelectorAll("[data-scripted]")) hidden.hidden = false;

// A text: point at a token for its features, at a feature for its tokens; click to hold.
const prompted = document.querySelector("[data-prompt]");
if (prompted) {
  const tokens = [...prompted.querySelectorAll(".tok")];
  const rows = [...document.querySelectorAll("[data-fired] tbody tr")].map((row) => ({
    row,
    at: new Map(row.dataset.at.trim().split(" ").filter(Boolean).map((part) => part.split(":"))),
  }));
  const release = document.querySelector("[data-release]");
  let held = null;

  const paint = (of) => {
    for (const token of tokens) {
      const level = of?.at.get(token.dataset.position);
      token.className = `tok${level ? ` a${level}` : ""}${held === token ? " held" : ""}`;
    }
  };
  const choose = (position) => {
    for (const of of rows) of.row.classList.toggle("on", position !== null && of.at.has(position));
  };
  const hold = (what) => {
    held = held === what ? null : what;
    const position = held?.dataset?.position ?? null;
    for (const of of rows) of.row.hidden = position !== null && !of.at.has(position);
    if (release) release.hidden = held === null;
    const of = rows.find((some) => some.row === held);
    for (const some of rows) some.row.classList.toggle("on", some === of);
    paint(of ?? null);
  };
  for (const token of tokens) {
    for (const event of ["pointerenter", "focus"]) token.addEventListener(event, () => held || choose(token.dataset.position));
    for (const event of ["pointerleave", "blur"]) token.addEventListener(event, () => held || choose(null));
    token.addEventListener("click", () => hold(token));
  }
  for (const of of rows) {
    of.row.addEventListener("pointerenter", () => held || paint(of));
    of.row.addEventListener("pointerleave", () => held || paint(null));
    of.row.addEventListener("focusin", () => held || paint(of));
    of.row.addEventListener("click", (event) => event.target.closest("a") || hold(of.row));
  }
  release?.addEventListener("click", () => hold(held));
}
