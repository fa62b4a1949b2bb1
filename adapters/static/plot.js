// Drawing on a canvas: sharp at any pixel density, in the colours of the page.

const NAMES = ["ground", "panel", "ink", "soft", "grid", "signal", "curve", "beat", "trigger", "withdrawn", "good", "warn", "bad", "off", "unsure"];
let colours = null;

export function theme() {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }
  return colours;
}

// "light", "dark", or null: what the system says
export function setTheme(chosen) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = chosen || (dark ? "dark" : "light");
  colours = null;
}

function kept() {
  try { return localStorage.getItem("streamqrs-theme"); } catch { return null; } // storage may be forbidden
}

export function followTheme() {
  setTheme(new URLSearchParams(location.search).get("theme") || kept());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(kept()));
}

export function otherTheme() {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("streamqrs-theme", next); } catch { /* it holds until the page is left */ }
  setTheme(next);
}

// Room beside a plot: its scale stands on the left.
export const LEFT = 46, RIGHT = 12;

// A horizontal line with its value on the left.
export function rule(pen, text, y, width) {
  pen.strokeStyle = theme().grid; pen.lineWidth = 1;
  pen.beginPath(); pen.moveTo(LEFT, Math.round(y) + 0.5); pen.lineTo(width - RIGHT, Math.round(y) + 0.5); pen.stroke();
  label(pen, text.replace("-", "−"), LEFT - 7, y, { align: "right", base: "middle", size: 11 });
}

// Seconds as minutes and seconds.
export const clock = (s, digits = 0) => `${Math.floor(s / 60)}:${(s % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0")}`;

// A canvas as wide and high as its box; `begin` clears it.
export class Pane {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.width = this.height = 0;
    new ResizeObserver(() => this.fit()).observe(canvas.parentElement);
    this.fit();
  }

  fit() {
    const box = this.canvas.parentElement, density = Math.min(devicePixelRatio || 1, 3);
    this.width = Math.max(1, box.clientWidth);
    this.height = Math.max(1, box.clientHeight);
    this.canvas.width = Math.round(this.width * density);
    this.canvas.height = Math.round(this.height * density);
    this.pen.setTransform(density, 0, 0, density, 0, 0);
    this.changed = true;
  }

  begin() {
    this.pen.clearRect(0, 0, this.width, this.height);
    this.changed = false;
    return this.pen;
  }
}

// Round numbers from low to high, about `count` of them.
export function ticks(low, high, count) {
  const raw = (high - low) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw) || raw;
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}

// A line through samples first..last-1; where several share a pixel column, from its lowest to its highest.
export function trace(pen, value, first, last, xOf, yOf) {
  let open = false, column = NaN, low = 0, high = 0, end = 0;
  const finish = () => {
    if (Number.isNaN(column)) return;
    if (high - low > 0.5) { pen.lineTo(column, low); pen.lineTo(column, high); }
    pen.lineTo(column, end);
    column = NaN;
  };
  pen.beginPath();
  for (let i = first; i < last; i++) {
    const v = value(i);
    if (!(v === v)) { finish(); open = false; continue; }
    const x = xOf(i), y = yOf(v), at = Math.round(x * 2) / 2;
    if (!open) { finish(); pen.moveTo(x, y); open = true; column = at; low = high = end = y; continue; }
    if (at !== column) { finish(); column = at; low = high = y; }
    low = Math.min(low, y); high = Math.max(high, y); end = y;
  }
  finish();
  pen.stroke();
}

export function triangle(pen, x, y, size, colour, up = false) {
  const d = up ? -1 : 1;
  pen.fillStyle = colour;
  pen.beginPath();
  pen.moveTo(x - size, y - d * size); pen.lineTo(x + size, y - d * size); pen.lineTo(x, y + d * size);
  pen.fill();
}

export function cross(pen, x, y, size, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2.5;
  pen.beginPath();
  pen.moveTo(x - size, y - size); pen.lineTo(x + size, y + size);
  pen.moveTo(x - size, y + size); pen.lineTo(x + size, y - size);
  pen.stroke();
}

export function label(pen, text, x, y, { colour, size = 12, align = "left", base = "alphabetic", bold = false } = {}) {
  pen.font = `${bold ? "600 " : ""}${size}px system-ui, sans-serif`;
  pen.fillStyle = colour || theme().soft;
  pen.textAlign = align;
  pen.textBaseline = base;
  pen.fillText(text, x, y);
}

// Give a blob to the user as a file.
export function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
