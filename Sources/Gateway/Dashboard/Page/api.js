// What the page asks of its gateway, with the key that the reader gave.

const storage = "glm-key";
let key = sessionStorage.getItem(storage) ?? "";

/** A request that the gateway refused; `status` says how, 0 when no gateway answered. */
export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Uses a key from now on, until the tab is closed. */
export function useKey(text) {
  key = text;
  sessionStorage.setItem(storage, text);
}

async function send(path, { method = "GET", body, signal } = {}) {
  const headers = {};
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("the gateway does not answer", 0);
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let message = `the gateway answered with status ${answer.status}`;
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // Whatever stands between page and gateway answered in its own words.
  }
  if (answer.status === 401) document.dispatchEvent(new CustomEvent("key-needed", { detail: key ? message : "" }));
  throw new Refusal(message, answer.status);
}

/** The JSON that a path answers with. */
export async function json(path, options) {
  return (await send(path, options)).json();
}

/** The text that a path answers with. */
export async function text(path, options) {
  return (await send(path, options)).text();
}

/** Asks with a body and yields the server-sent events of the answer: `{data}` or `{comment}`. */
export async function* events(path, body, signal) {
  const answer = await send(path, { method: "POST", body, signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data:")) yield { data: line.slice(5).trimStart() };
      else if (line.startsWith(":")) yield { comment: line.slice(1).trim() };
    }
  }
}

/** An element with attributes and children; text is text, never markup. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Sets an element's text when it differs: what does not change is not read out again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Bytes for people. */
export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit && count < 10 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

/** A number for people: few digits. */
export function number(value) {
  if (value == null) return "–";
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return value >= 100 || Number.isInteger(value) ? `${Math.round(value)}` : value >= 1 ? value.toFixed(1) : value.toPrecision(2);
}

/** Seconds for people. */
export function seconds(value) {
  if (value == null) return "–";
  if (value < 1) return `${number(value * 1000)} ms`;
  if (value < 120) return `${number(value)} s`;
  return value < 7200 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`;
}
