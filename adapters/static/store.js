// What the page knows: the last minute of both traces, and beats, gaps and quality. All of it bounded.

export const KEEP_S = 60;
const BEATS = 2000, SPANS = 200;

// The newest samples of a trace; position = count since the stream began. What never came is NaN.
export class Ring {
  constructor(rate) {
    this.rate = rate;
    this.size = Math.ceil(KEEP_S * rate);
    this.values = new Float32Array(this.size).fill(NaN);
    this.stop = 0; // count of the sample after the newest one
    this.first = 0; // count of the oldest one ever
    this.any = false;
  }

  put(start, values) {
    if (!this.any) { this.first = this.stop = start; this.any = true; }
    if (start < this.stop - this.size) return;
    if (start > this.stop) {
      for (let i = Math.max(this.stop, start - this.size); i < start; i++) this.values[i % this.size] = NaN;
    }
    for (let k = Math.max(0, values.length - this.size); k < values.length; k++) this.values[(start + k) % this.size] = values[k];
    this.stop = Math.max(this.stop, start + values.length);
    this.first = Math.min(this.first, start);
  }

  at(i) { return i < this.stop && i >= this.oldest ? this.values[i % this.size] : NaN; }
  get oldest() { return Math.max(this.first, this.stop - this.size, 0); }
  get end_s() { return this.stop / this.rate; }
}

export class Store {
  constructor() { this.clear(); }

  clear() {
    this.started = null; this.stopped = null;
    this.ecg = null; this.curve = null;
    this.beats = new Map(); // id → {id, kind, at, rr, rate, triggered, probability}
    this.delays = { trigger: [], beat: [] }; // ms, of the newest
    this.gaps = []; this.unsure = []; // {from, to} in s of the stream
    this.quality = null; this.problem = null;
    this.counts = { beat: 0, trigger: 0, withdrawn: 0, gap: 0, problem: 0 };
    this.seen = -1; // seq of the newest event
  }

  signal(buffer) {
    const head = new DataView(buffer);
    const kind = head.getUint32(0, true), start = head.getFloat64(8, true), rate = head.getFloat64(16, true);
    const name = kind === 0 ? "ecg" : "curve";
    if (!this[name] || this[name].rate !== rate) this[name] = new Ring(rate);
    this[name].put(start, new Float32Array(buffer, 24));
  }

  event(event) {
    if (event.seq <= this.seen) return; // told again after a loss
    if (event.event === "started") { this.clear(); this.started = event; }
    this.seen = event.seq;
    if (event.event === "beat") this.beat(event);
    else if (event.event === "gap") {
      const rate = this.started ? this.started.rate : 250, last = this.gaps[this.gaps.length - 1];
      if (last && last.from === event.start / rate) this.gaps.pop(); // a silence that is over is told again, at full length
      else this.counts.gap++;
      this.gaps.push({ from: event.start / rate, to: event.stop / rate });
      if (this.gaps.length > SPANS) this.gaps.shift();
    } else if (event.event === "quality") {
      this.quality = event;
      const last = this.unsure[this.unsure.length - 1];
      if (event.usable && last) last.to = event.index / 250;
      else if (!event.usable) this.unsure.push({ from: event.index / 250, to: Infinity });
      if (this.unsure.length > SPANS) this.unsure.shift();
    } else if (event.event === "problem") { this.counts.problem++; this.problem = event; }
    else if (event.event === "stopped") this.stopped = event;
  }

  beat(event) {
    this.counts[event.kind]++;
    const before = this.beats.get(event.id);
    this.beats.set(event.id, {
      id: event.id, kind: event.kind, at: event.index / 250, rr: event.rr_s, rate: event.heart_rate,
      triggered: event.kind === "trigger" || Boolean(before && before.triggered), probability: event.probability,
    });
    if (this.beats.size > BEATS) this.beats.delete(this.beats.keys().next().value);
    const delays = this.delays[event.kind];
    if (delays && event.delay_ms !== null) { delays.push(event.delay_ms); if (delays.length > 500) delays.shift(); }
  }

  get newest_s() { return this.ecg ? this.ecg.end_s : 0; }

  // confirmed beats since a time of the stream, in order
  confirmed(since = -Infinity) {
    return [...this.beats.values()].filter((b) => b.kind === "beat" && b.at >= since).sort((a, b) => a.at - b.at);
  }

  // mean over the last eight intervals, per minute; null when there is none, or the last beat is long ago
  heartRate() {
    const beats = this.confirmed().slice(-8), rr = beats.map((b) => b.rr).filter((v) => v !== null);
    if (!rr.length || this.newest_s - beats[beats.length - 1].at > 4) return null;
    return (60 * rr.length) / rr.reduce((a, b) => a + b, 0);
  }
}

export function quantile(values, q) {
  if (!values.length) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
