// The queue and the jobs, each with a button that ends it.

import { json, make, say, seconds } from "./api.js";

const body = document.getElementById("job-rows");
const none = document.getElementById("no-jobs");
const open = new Set(["queued", "prefill", "decode"]);
const rows = new Map();
const mostRows = 20;

function newRow(id) {
  const cell = (kind) => make("td", { class: kind });
  const row = {
    status: make("span", { class: "badge" }), prompt: make("span"), fill: make("i"), answer: cell("number"),
    time: cell("number wide"), text: cell("text wide"), cancel: make("button", { type: "button", "aria-label": `Cancel ${id}` }, "Cancel"),
  };
  row.track = make("div", { class: "track", role: "progressbar", "aria-label": `${id}: prompt read`, "aria-valuemin": 0, "aria-valuemax": 100 }, row.fill);
  row.element = make("tr", { "data-job": id }, make("th", { scope: "row" }, id), make("td", {}, row.status),
    make("td", {}, row.prompt, row.track), row.answer, row.time, row.text, make("td", {}, row.cancel));
  row.cancel.addEventListener("click", async () => {
    row.cancel.disabled = true;
    try {
      fill(row, await json(`/v1/jobs/${encodeURIComponent(id)}`, { method: "DELETE" }));
    } catch (error) {
      row.cancel.disabled = false;
      row.text.textContent = error.message;
    }
  });
  return row;
}

function fill(row, job) {
  const isOpen = open.has(job.status);
  row.status.dataset.state = isOpen ? "busy" : job.status === "finished" ? "ready" : "bad";
  say(row.status, job.queue_position ? `${job.status}, number ${job.queue_position}` : job.status);
  const left = job.status === "prefill" && job.prefill_seconds_left > 0 ? `, ${seconds(job.prefill_seconds_left)} left` : "";
  say(row.prompt, `${job.prefilled_tokens} of ${job.prompt_tokens}${left}`);
  const share = Math.round((100 * job.prefilled_tokens) / Math.max(1, job.prompt_tokens));
  row.track.hidden = job.status !== "prefill";
  row.track.setAttribute("aria-valuenow", share);
  row.fill.style.width = `${share}%`;
  say(row.answer, `${job.completion_tokens}`);
  const { queued_ms: queued, prefill_ms: prefill, decode_ms: decode } = job.timings;
  say(row.time, queued + prefill + decode > 0 ? seconds((queued + prefill + decode) / 1000) : "–");
  say(row.text, (job.error?.message ?? job.text ?? "").trim().slice(0, 120));
  row.cancel.hidden = !isOpen;
}

/** Shows jobs, those that wait or run first. */
export function showJobs(jobs) {
  const shown = [...jobs.filter((job) => open.has(job.status)), ...jobs.filter((job) => !open.has(job.status))].slice(0, mostRows);
  const ids = new Set(shown.map((job) => job.id));
  for (const [id, row] of rows) {
    if (ids.has(id)) continue;
    row.element.remove();
    rows.delete(id);
  }
  shown.forEach((job, at) => {
    const row = rows.get(job.id) ?? newRow(job.id);
    rows.set(job.id, row);
    fill(row, job);
    // A row that is moved loses the focus: only what is in the wrong place is.
    if (body.children[at] !== row.element) body.insertBefore(row.element, body.children[at] ?? null);
  });
  none.hidden = shown.length > 0;
}
