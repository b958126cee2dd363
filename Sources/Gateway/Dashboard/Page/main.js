// The page's clock: asks the gateway how the cluster is, and shows it.

import { json, make, number, Refusal, say, seconds, text, useKey } from "./api.js";
import { Chart, histograms, quantile } from "./charts.js";
import { showJobs } from "./jobs.js";
import { showPools } from "./kvmap.js";
import { showWorkers } from "./topology.js";
import "./chat.js";

const get = (id) => document.getElementById(id);
const charts = get("charts");
const rate = (value) => (value == null ? "–" : `${number(value)}/s`);
const generated = new Chart(charts, "Answers, tokens", ["tokens"], rate);
const read = new Chart(charts, "Prompts, tokens", ["tokens"], rate);
const first = new Chart(charts, "Time to first token", ["median", "95th percentile"], seconds);
const between = new Chart(charts, "Between tokens", ["median", "95th percentile"], seconds);
// Latencies are those of the last half minute; rates those since the last look but two, or they would jump.
const recent = 30_000;
const looks = [];
const tiles = new Map();

function tile(name, value, unit = "") {
  if (!tiles.has(name)) {
    const words = make("span");
    const small = make("small");
    get("tiles").append(make("div", {}, make("dt", {}, name), make("dd", {}, words, " ", small)));
    tiles.set(name, { words, small });
  }
  say(tiles.get(name).words, value);
  say(tiles.get(name).small, unit);
}

function showHead(status) {
  say(get("model"), status.model || "GLM Cluster");
  document.title = `${status.state === "ready" ? "" : "! "}${status.model || "GLM Cluster"}`;
  get("state").dataset.state = status.state === "ready" ? "ready" : /^(waiting|loading)/.test(status.state) ? "busy" : "bad";
  say(get("state"), status.state);
  const next = status.next_layout ? `, loading ${status.next_layout}` : "";
  say(get("facts"), `${status.layout ? `layout ${status.layout}` : "no layout yet"}${next}, plan ${status.epoch}, ${status.steps} steps`);
}

function show({ time, status, metrics }) {
  showHead(status);
  showWorkers(status);
  showPools(status);
  const earlier = looks.at(-4) ?? looks[0];
  const elapsed = (time - earlier.time) / 1000;
  // A coordinator that was started anew counts from 0.
  const grown = (key) => (elapsed > 0 ? Math.max(0, status.totals[key] - earlier.status.totals[key]) / elapsed : null);
  const old = looks.find((look) => look.time >= time - recent) ?? looks[0];
  const latency = (name, share) => quantile(old.metrics.get(name), metrics.get(name), share);
  const both = (name) => [latency(name, 0.5), latency(name, 0.95)];
  const ttft = both("glm_time_to_first_token_seconds");
  const itl = both("glm_inter_token_latency_seconds");
  generated.add(time, [grown("generated_tokens")]);
  read.add(time, [grown("prompt_tokens")]);
  first.add(time, ttft);
  between.add(time, itl);

  const pools = status.members.map((member) => member.kv).filter((kv) => kv.pages > 0);
  const fullest = Math.max(0, ...pools.map((kv) => (kv.pages_used - kv.pages_idle) / kv.pages));
  const { looked_up_tokens: looked, cached_tokens: found } = status.totals;
  tile("Running", `${status.running_jobs}`, `${status.queued_jobs} waiting`);
  tile("Answers", number(grown("generated_tokens")), "tokens/s");
  tile("Prompts", number(grown("prompt_tokens")), "tokens/s");
  tile("First token after", seconds(ttft[0]));
  tile("Between tokens", seconds(itl[0]));
  tile("KV cache in use", `${Math.round(100 * fullest)}%`, "of the fullest worker");
  tile("Found in cache", looked ? `${Math.round((100 * found) / looked)}%` : "–", "of prompts");
}

/** The jobs; a key that may only watch does not see them. */
async function lookAtJobs() {
  try {
    showJobs((await json("/v1/jobs?limit=40")).data);
  } catch (error) {
    if (error.status !== 403) throw error;
    say(get("no-jobs"), error.message);
  }
}

async function look() {
  const [status, measured] = await Promise.all([json("/v1/status"), text("/metrics"), lookAtJobs()]);
  const now = { time: Date.now(), status, metrics: histograms(measured) };
  looks.push(now);
  while (looks[0].time < now.time - 60_000) looks.shift();
  show(now);
}

async function run() {
  for (;;) {
    try {
      await look();
      get("lost").hidden = true;
      get("key").hidden = true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status !== 401) {
        say(get("lost"), `${error.message}; what you see is old, trying again`);
        get("lost").hidden = false;
        get("state").dataset.state = "bad";
        say(get("state"), "no answer");
      }
    }
    // A page that nobody looks at asks less often.
    await new Promise((done) => setTimeout(done, document.hidden ? 5000 : 1000));
  }
}

document.addEventListener("key-needed", ({ detail }) => {
  if (get("key").hidden) {
    get("key").hidden = false;
    get("key-text").focus();
  }
  if (detail) say(get("key-note"), detail);
});
get("key").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(get("key-text").value.trim());
  get("key-text").value = "";
  get("key").hidden = true;
});
run();
