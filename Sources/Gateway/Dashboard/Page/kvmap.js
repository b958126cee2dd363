// The KV map: where each worker's pages are, a square a slot.

import { bytes, make, say } from "./api.js";

const list = document.getElementById("kv-rows");
const most = document.getElementById("kv-most");
const rows = new Map();
let last = null;

function newRow(name) {
  const title = make("b", {}, name);
  const facts = make("span", { class: "quiet" });
  const cells = make("div", { class: "cells", role: "img" });
  for (let slot = 0; slot < 64; slot += 1) cells.append(make("i", { class: "l0" }));
  const element = make("li", {}, make("div", {}, title, facts), cells);
  return { element, facts, cells };
}

/** Shows the pools of a status. */
export function showPools(status) {
  last = status;
  const wanted = document.querySelector("input[name=kv]:checked").value;
  const field = wanted === "pages" ? "slot_pages" : "slot_reuses";
  const members = status.members.filter((member) => member.stage != null && member.kv.pages > 0);
  members.sort((a, b) => a.stage - b.stage || a.rank - b.rank);
  const top = Math.max(1, ...members.flatMap((member) => member.kv[field]));
  say(most, `${top}`);
  for (const [name, row] of rows) {
    if (members.some((member) => member.worker === name)) continue;
    row.element.remove();
    rows.delete(name);
  }
  members.forEach((member, at) => {
    const row = rows.get(member.worker) ?? newRow(member.worker);
    rows.set(member.worker, row);
    if (list.children[at] !== row.element) list.insertBefore(row.element, list.children[at] ?? null);
    const { kv } = member;
    const parts = [`stage ${member.stage} rank ${member.rank}`, `${bytes(kv.used_bytes)} of ${bytes(kv.capacity_bytes)}`];
    if (kv.idle_bytes) parts.push(`${bytes(kv.idle_bytes)} kept`);
    if (kv.spilled_bytes) parts.push(`${bytes(kv.spilled_bytes)} in a file`);
    if (kv.places_on_disk != null) parts.push(`${kv.places_on_disk * 64} tokens on disk`);
    if (kv.disk_trouble) parts.push(`disk: ${kv.disk_trouble}`);
    say(row.facts, parts.join(", "));
    const counts = kv[field];
    const held = counts.filter((count) => count > 0);
    row.cells.setAttribute("aria-label", held.length
      ? `${held.length} of 64 slots hold pages ${wanted === "pages" ? "in use" : "that were used again"}, at most ${Math.max(...held)} in one`
      : "no slot holds a page");
    [...row.cells.children].forEach((cell, slot) => {
      const count = counts[slot] ?? 0;
      const level = `l${count ? Math.max(1, Math.ceil((6 * count) / top)) : 0}`;
      if (cell.className !== level) cell.className = level;
      const words = `slot ${slot}: ${kv.slot_pages[slot] ?? 0} pages, used again ${kv.slot_reuses[slot] ?? 0} times`;
      if (cell.title !== words) cell.title = words;
    });
  });
}

for (const choice of document.querySelectorAll("input[name=kv]")) {
  choice.addEventListener("change", () => last && showPools(last));
}
