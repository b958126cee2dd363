// A conversation with the model, streamed.

import { events, make, number, seconds } from "./api.js";

const get = (id) => document.getElementById(id);
const [turns, form, question, send, stop, note] = ["turns", "ask", "question", "send", "stop", "chat-note"].map(get);
let messages = [];
let abort = null;

function bubble(role, text) {
  const words = make("span", {}, text);
  const item = make("div", { class: role }, make("span", { class: "who" }, role === "user" ? "You" : "Model"), words);
  turns.append(item);
  turns.scrollTop = turns.scrollHeight;
  return { item, words };
}

function request() {
  const system = get("system").value.trim();
  const body = { messages: system ? [{ role: "system", content: system }, ...messages] : messages, stream: true };
  if (get("temperature").value) body.temperature = Number(get("temperature").value);
  if (get("most").value) body.max_tokens = Number(get("most").value);
  return body;
}

async function answer() {
  const begun = performance.now();
  const { item, words } = bubble("assistant", "");
  let [text, first, tokens, timings] = ["", null, 0, null];
  abort = new AbortController();
  // Readers hear an answer when it is whole, not a syllable at a time.
  turns.setAttribute("aria-busy", "true");
  [send.hidden, stop.hidden] = [true, false];
  note.textContent = "waiting for the first token";
  try {
    for await (const { data, comment } of events("/v1/chat/completions", request(), abort.signal)) {
      if (comment?.startsWith("prefill")) note.textContent = `reading: ${comment.slice(8)}`;
      if (!data || data === "[DONE]") continue;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      timings = chunk.timings ?? timings;
      const piece = chunk.choices?.[0]?.delta?.content;
      if (!piece) continue;
      if (first == null) {
        first = (performance.now() - begun) / 1000;
        note.textContent = "answering";
      }
      text += piece;
      tokens += 1;
      const isAtEnd = turns.scrollHeight - turns.scrollTop - turns.clientHeight < 40;
      words.textContent = text;
      if (isAtEnd) turns.scrollTop = turns.scrollHeight;
    }
    const rate = timings?.predicted_per_second;
    note.textContent = `${timings?.predicted_n ?? tokens} tokens, the first after ${seconds(first)}${rate ? `, ${number(rate)} tokens/s` : ""}`;
    messages.push({ role: "assistant", content: text });
  } catch (error) {
    const isStopped = error.name === "AbortError";
    note.textContent = isStopped ? "stopped" : "";
    if (isStopped && text) messages.push({ role: "assistant", content: text });
    else messages.pop();
    if (!isStopped) {
      item.classList.add("failed");
      words.textContent = `${text}\n${error.message}`.trim();
    } else if (!text) {
      item.remove();
    }
  } finally {
    abort = null;
    turns.setAttribute("aria-busy", "false");
    [send.hidden, stop.hidden] = [false, true];
    question.focus({ preventScroll: true });
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || abort) return;
  question.value = "";
  messages.push({ role: "user", content: text });
  bubble("user", text);
  answer();
});

question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") abort?.abort();
});
stop.addEventListener("click", () => abort?.abort());
get("anew").addEventListener("click", () => {
  abort?.abort();
  messages = [];
  turns.replaceChildren();
  note.textContent = "";
  question.focus();
});
