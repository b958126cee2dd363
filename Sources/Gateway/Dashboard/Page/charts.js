// Line charts of the last minutes, drawn as SVG; each can be read with the pointer, the arrow keys, or as a table.

import { make } from "./api.js";

const span = 5 * 60 * 1000;
const height = 130;
const edge = { left: 54, right: 8, top: 8, bottom: 18 };

function svg(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** A round number at or above a value, for the top of an axis. */
function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

/** A chart of some series over the last five minutes; `words` makes a value readable. */
export class Chart {
  constructor(box, title, names, words) {
    Object.assign(this, { names, words, samples: [], at: null });
    this.now = make("b");
    const caption = make("figcaption", {}, make("span", {}, title, " ", this.now));
    if (names.length > 1) {
      caption.append(make("span", { class: "legend" }, ...names.map((name, index) => make("span", {}, make("i", { class: `s${index}` }), name))));
    }
    this.canvas = svg("svg", { role: "img", tabindex: 0, "aria-label": title });
    this.title = title;
    this.readout = make("output");
    this.body = make("tbody");
    const head = make("tr", {}, make("th", { scope: "col" }, "Time"), ...names.map((name) => make("th", { scope: "col", class: "number" }, name)));
    this.table = make("details", {}, make("summary", {}, "As a table"), make("table", {}, make("thead", {}, head), this.body));
    box.append(make("figure", { class: "chart" }, caption, this.canvas, this.readout, this.table));
    this.canvas.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.canvas.addEventListener("pointerleave", () => this.choose(null));
    this.canvas.addEventListener("blur", () => this.choose(null));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.table.addEventListener("toggle", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** Adds a sample: a time and a value for each series, null where there is none. */
  add(time, values) {
    this.samples.push({ time, values });
    while (this.samples.length && this.samples[0].time < time - span) {
      this.samples.shift();
      if (this.at != null) this.at = Math.max(0, this.at - 1);
    }
    this.draw();
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !this.samples.length) return;
    event.preventDefault();
    const end = this.samples.length - 1;
    this.choose(Math.min(end, Math.max(0, (this.at ?? end) + step)));
  }

  point(x) {
    if (!this.samples.length) return;
    const distance = (sample) => Math.abs(this.x(sample.time) - x);
    let best = 0;
    this.samples.forEach((sample, index) => {
      if (distance(sample) < distance(this.samples[best])) best = index;
    });
    this.choose(best);
  }

  choose(at) {
    this.at = at;
    this.draw();
  }

  x(time) {
    const end = this.samples.at(-1)?.time ?? 0;
    return edge.left + (this.width - edge.left - edge.right) * (1 - (end - time) / span);
  }

  describe(sample) {
    return this.names.map((name, index) => `${name} ${this.words(sample.values[index])}`).join(", ");
  }

  draw() {
    this.width = Math.max(160, this.canvas.clientWidth);
    const known = this.samples.flatMap((sample) => sample.values).filter((value) => value != null);
    const top = ceiling(Math.max(0, ...known));
    const y = (value) => height - edge.bottom - (height - edge.top - edge.bottom) * (value / top);
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      parts.push(svg("line", { class: "grid", x1: edge.left, x2: this.width - edge.right, y1: y(top * share), y2: y(top * share) }));
      parts.push(svg("text", { x: edge.left - 6, y: y(top * share) + 4, "text-anchor": "end" }, this.words(top * share)));
    }
    parts.push(svg("text", { x: edge.left, y: height - 4 }, "5 min ago"));
    parts.push(svg("text", { x: this.width - edge.right, y: height - 4, "text-anchor": "end" }, "now"));
    this.names.forEach((name, index) => {
      let path = "";
      let before = false;
      for (const { time, values } of this.samples) {
        const value = values[index];
        if (value != null) path += `${before ? "L" : "M"}${this.x(time).toFixed(1)} ${y(value).toFixed(1)}`;
        before = value != null;
      }
      parts.push(svg("path", { class: `s${index}`, d: path }));
      const last = this.samples.at(-1)?.values[index];
      if (last != null) parts.push(svg("circle", { class: `dot s${index}`, cx: this.x(this.samples.at(-1).time), cy: y(last), r: 3 }));
    });
    const chosen = this.at == null ? null : this.samples[this.at];
    if (chosen) {
      parts.push(svg("line", { class: "cross", x1: this.x(chosen.time), x2: this.x(chosen.time), y1: edge.top, y2: height - edge.bottom }));
      chosen.values.forEach((value, index) => {
        if (value != null) parts.push(svg("circle", { class: `dot s${index}`, cx: this.x(chosen.time), cy: y(value), r: 4 }));
      });
    }
    this.canvas.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
    this.canvas.replaceChildren(...parts);
    const latest = this.samples.at(-1);
    this.now.textContent = latest ? latest.values.map(this.words).join(" / ") : "";
    this.readout.textContent = chosen ? `${new Date(chosen.time).toLocaleTimeString()}: ${this.describe(chosen)}` : "";
    this.canvas.setAttribute("aria-label", `${this.title}: ${latest ? this.describe(latest) : "nothing yet"}. Arrow keys read earlier values.`);
    if (this.table.open) {
      this.body.replaceChildren(...this.samples.slice(-10).reverse().map((sample) => make("tr", {},
        make("td", {}, new Date(sample.time).toLocaleTimeString()),
        ...sample.values.map((value) => make("td", { class: "number" }, this.words(value))))));
    }
  }
}

/** The histograms of a Prometheus text: by name, the bounds and how many values were at most so large. */
export function histograms(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = line.match(/^(\w+)_bucket\{(?:.*,)?le="([^"]+)"\} (\S+)$/);
    if (!match) continue;
    const [, name, bound, count] = match;
    if (!found.has(name)) found.set(name, []);
    found.get(name).push({ bound: bound === "+Inf" ? Infinity : Number(bound), count: Number(count) });
  }
  return found;
}

/** The value below which a share of what was added between two looks at a histogram lies; null when nothing was. */
export function quantile(earlier, later, share) {
  if (!later) return null;
  const added = later.map(({ bound, count }, index) => ({ bound, count: count - (earlier?.[index]?.count ?? 0) }));
  const all = added.at(-1).count;
  if (!(all > 0)) return null;
  const rank = share * all;
  let [low, before] = [0, 0];
  for (const { bound, count } of added) {
    if (count >= rank) return bound === Infinity ? low : low + ((bound - low) * (rank - before)) / Math.max(1e-9, count - before);
    [low, before] = [bound, count];
  }
  return low;
}
