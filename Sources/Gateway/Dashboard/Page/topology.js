// Stages and ranks: a card for every worker, kept in place so that focus and readers are not disturbed.

import { bytes, make, say } from "./api.js";

const box = document.getElementById("topology");
const eventList = document.getElementById("event-list");
const news = document.getElementById("news");
// A worker that is gone stays on the page for so long: that is what an operator looks for.
const mourning = 10 * 60 * 1000;
const cards = new Map();
const stages = new Map();
let lastState = "";

/** Writes down what happened, and has it read out. */
export function happened(text) {
  const now = new Date();
  eventList.prepend(make("li", {}, make("time", { datetime: now.toISOString() }, now.toLocaleTimeString()), text));
  while (eventList.children.length > 50) eventList.lastChild.remove();
  news.textContent = text;
}

function tone(state) {
  if (state === "ready") return "ready";
  return state === "failed" || state === "gone" ? "bad" : "busy";
}

function gauge(name) {
  const output = make("output");
  const first = make("i");
  const second = make("i");
  const track = make("div", { class: "track", role: "meter", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100 }, first, second);
  const row = make("div", { class: "gauge" }, make("span", { "aria-hidden": "true" }, name), track, output);
  return {
    row,
    set(share, of, words) {
      first.style.width = `${100 * Math.min(1, share)}%`;
      second.style.width = `${100 * Math.max(0, Math.min(1, of) - Math.min(1, share))}%`;
      track.setAttribute("aria-valuenow", Math.round(100 * Math.min(1, Math.max(share, of))));
      track.setAttribute("aria-valuetext", words);
      say(output, words);
    },
  };
}

function newCard(name) {
  const state = make("span", { class: "badge" });
  const place = make("p", { class: "place" });
  const doing = make("p", { class: "doing" });
  const busy = gauge("busy");
  const memory = gauge("memory");
  const cache = gauge("KV cache");
  const element = make("li", { class: "worker", "data-worker": name },
    make("div", { class: "name" }, make("h4", {}, name), state), place, busy.row, memory.row, cache.row, doing);
  return { element, state, place, doing, busy, memory, cache, member: null, seen: 0, gone: 0 };
}

function span(range) {
  if (!range || range[1] <= range[0]) return "–";
  return range[1] === range[0] + 1 ? `${range[0]}` : `${range[0]}–${range[1] - 1}`;
}

function fill(card, member) {
  const state = card.gone ? "gone" : member.state;
  card.element.dataset.state = tone(state);
  card.state.dataset.state = tone(state);
  say(card.state, card.gone ? `gone since ${new Date(card.gone).toLocaleTimeString()}` : state);
  const place = member.rank == null ? "no part in the layout" : `rank ${member.rank}, layers ${span(member.layers)}, leaves ${span(member.leaves)}`;
  say(card.place, `${place}, ${member.threads} ${member.threads === 1 ? "thread" : "threads"}`);
  const busy = card.gone ? 0 : member.busy;
  card.busy.set(busy, busy, `${Math.round(100 * busy)}%`);
  const held = member.weight_bytes + member.kv.capacity_bytes;
  const offered = Math.max(1, member.memory_bytes);
  card.memory.set(member.weight_bytes / offered, held / offered, `${bytes(held)} of ${bytes(member.memory_bytes)}`);
  const { capacity_bytes: capacity, used_bytes: used, idle_bytes: idle } = member.kv;
  card.cache.set((used - idle) / Math.max(1, capacity), used / Math.max(1, capacity), `${bytes(used)} of ${bytes(capacity)}`);
  card.element.title = `weights ${bytes(member.weight_bytes)}, peak ${bytes(member.peak_memory_bytes)}, sent ${bytes(member.bytes_sent)} in ${member.messages_sent} messages; KV kept for later ${bytes(idle)}`;
  say(card.doing, card.gone ? "" : member.activity);
}

function column(number) {
  if (stages.has(number)) return stages.get(number);
  const title = make("h3");
  const ranks = make("ul", { class: "ranks" });
  const element = make("div", { class: "stage" }, title, ranks);
  const entry = { element, title, ranks };
  stages.set(number, entry);
  const order = [...stages.keys()].sort((a, b) => a - b);
  box.replaceChildren(...order.map((key) => stages.get(key).element));
  return entry;
}

/** Shows the members of a status. */
export function showWorkers(status) {
  const now = Date.now();
  for (const member of status.members) {
    let card = cards.get(member.worker);
    if (!card) {
      card = newCard(member.worker);
      cards.set(member.worker, card);
      if (lastState) happened(`worker ${member.worker} joined`);
    } else if (card.gone) {
      happened(`worker ${member.worker} is back`);
    }
    Object.assign(card, { member, seen: now, gone: 0 });
  }
  for (const [name, card] of cards) {
    if (card.seen === now) continue;
    if (!card.gone) {
      card.gone = now;
      happened(`worker ${name} is gone`);
    } else if (now - card.gone > mourning) {
      card.element.remove();
      cards.delete(name);
    }
  }
  if (lastState && lastState !== status.state) happened(`the cluster: ${status.state}`);
  lastState = status.state;

  // Spare workers, and those that are gone while another has their place, stand in a column of their own, the last.
  const taken = new Set(status.members.filter((member) => member.stage != null).map((member) => `${member.stage}.${member.rank}`));
  const columns = new Map();
  for (const card of cards.values()) {
    const { stage, rank } = card.member;
    const isPlaced = stage != null && !(card.gone && taken.has(`${stage}.${rank}`));
    const key = isPlaced ? stage : Infinity;
    if (!columns.has(key)) columns.set(key, []);
    columns.get(key).push(card);
    fill(card, card.member);
  }
  for (const [key, entry] of stages) {
    if (columns.has(key)) continue;
    entry.element.remove();
    stages.delete(key);
  }
  const last = Math.max(...[...columns.keys()].filter(Number.isFinite), -1);
  for (const [key, members] of columns) {
    const entry = column(key);
    const place = (card) => card.member.rank ?? Infinity;
    members.sort((a, b) => place(a) - place(b) || a.member.worker.localeCompare(b.member.worker));
    say(entry.title, Number.isFinite(key) ? `Stage ${key}: layers ${span(members[0].member.layers)}` : "Not in the layout");
    entry.element.classList.toggle("flows", Number.isFinite(key) && key < last);
    members.forEach((card, at) => {
      if (entry.ranks.children[at] !== card.element) entry.ranks.insertBefore(card.element, entry.ranks.children[at] ?? null);
    });
  }
  if (!cards.size) {
    if (!box.firstChild) box.append(make("p", { class: "quiet" }, "No workers; start some with glm worker."));
  }
}
