// The last minute to take along: a table, and a picture.

import { KEEP_S } from "./store.js";
import { clock, cross, label, theme, ticks, trace, triangle } from "./plot.js";

const ROW_S = 10;

export function lastMinuteAsCsv(store) {
  const ring = store.ecg, curve = store.curve, unit = (store.started && store.started.unit) || "";
  const events = new Map();
  for (const beat of store.beats.values()) events.set(Math.round(beat.at * ring.rate), beat);
  const lines = [`time_s,ecg${unit ? `_${unit}` : ""},probability,event,id`];
  for (let i = ring.oldest; i < ring.stop; i++) {
    const v = ring.at(i), p = curve ? curve.at(Math.round((i / ring.rate) * curve.rate)) : NaN, beat = events.get(i);
    lines.push([
      (i / ring.rate).toFixed(4), v === v ? Number(v.toPrecision(7)) : "", p === p ? p.toFixed(4) : "",
      beat ? beat.kind : "", beat ? beat.id : "",
    ].join(","));
  }
  return `${lines.join("\n")}\n`;
}

export function lastMinuteAsPicture(store) {
  const c = theme(), ring = store.ecg, begin = Math.max(ring.oldest / ring.rate, ring.end_s - KEEP_S);
  const rows = Math.max(1, Math.ceil((ring.end_s - begin) / ROW_S - 1e-9)), width = 1600, left = 90, high = 190, top = 70;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = top + rows * high + 44;
  const pen = canvas.getContext("2d");
  pen.fillStyle = c.panel;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  const s = store.started, rate = store.heartRate(), unit = (s && s.unit) || "";
  label(pen, [s && s.source, s && s.channel, s && `model ${s.model}`, rate && `${rate.toFixed(1)} beats/min`].filter(Boolean).join("  ·  "),
    24, 36, { size: 20, colour: c.ink, bold: true });
  label(pen, new Date().toLocaleString("sv"), width - 24, 36, { size: 16, align: "right" });
  const values = [];
  for (let i = ring.oldest; i < ring.stop; i++) { const v = ring.at(i); if (v === v) values.push(v); }
  values.sort((a, b) => a - b);
  const low = values[Math.floor(0.001 * values.length)], range = values[Math.ceil(0.999 * (values.length - 1))] - low || 1;
  const bar = ticks(0, range, 3)[1];
  for (let row = 0; row < rows; row++) {
    const from = begin + row * ROW_S, to = from + ROW_S, head = top + row * high, foot = head + high - 50;
    const xOf = (t) => left + ((t - from) / ROW_S) * (width - left - 24), yOf = (v) => foot - ((v - low) / range) * (high - 80);
    pen.fillStyle = c.unsure;
    for (const part of [...store.gaps, ...store.unsure]) {
      const a = Math.max(from, part.from), b = Math.min(to, part.to, ring.end_s);
      if (b > a) pen.fillRect(xOf(a), head, xOf(b) - xOf(a), high - 34);
    }
    pen.strokeStyle = c.grid; pen.lineWidth = 1;
    for (let t = Math.ceil(from); t <= to; t++) {
      pen.beginPath(); pen.moveTo(xOf(t), head); pen.lineTo(xOf(t), foot + 16); pen.stroke();
      label(pen, clock(t), xOf(t), foot + 32, { align: "center", size: 13 });
    }
    pen.strokeStyle = c.soft; pen.lineWidth = 2;
    pen.beginPath(); pen.moveTo(left - 22, yOf(low)); pen.lineTo(left - 22, yOf(low + bar)); pen.stroke();
    label(pen, `${bar} ${unit}`, left - 30, yOf(low + bar / 2), { align: "right", base: "middle", size: 13 });
    pen.strokeStyle = c.signal; pen.lineWidth = 1.6; pen.lineJoin = "round";
    const a = Math.max(ring.oldest, Math.ceil(from * ring.rate)), b = Math.min(ring.stop, Math.floor(to * ring.rate) + 1);
    trace(pen, (i) => ring.at(i), a, b, (i) => xOf(i / ring.rate), yOf);
    for (const beat of store.beats.values()) {
      if (beat.at < from || beat.at >= to) continue;
      if (beat.kind === "beat") triangle(pen, xOf(beat.at), head + 8, 6, c.beat);
      if (beat.kind === "withdrawn") cross(pen, xOf(beat.at), foot + 10, 5, c.withdrawn);
      else if (beat.triggered) triangle(pen, xOf(beat.at), foot + 10, 5, c.trigger, true);
    }
  }
  const y = canvas.height - 22;
  triangle(pen, left + 6, y, 6, c.beat);
  triangle(pen, left + 176, y, 6, c.trigger, true);
  cross(pen, left + 276, y, 5, c.withdrawn);
  pen.fillStyle = c.unsure;
  pen.fillRect(left + 384, y - 8, 16, 16);
  for (const [text, x] of [["confirmed beat", 20], ["trigger", 190], ["withdrawn", 290], ["gap, or cannot tell", 408]]) label(pen, text, left + x, y, { base: "middle", size: 14 });
  label(pen, "streamqrs: research software, not a medical device", width - 24, y, { align: "right", base: "middle", size: 14 });
  return canvas;
}
