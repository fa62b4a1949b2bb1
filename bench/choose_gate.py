"""Choose the gate's thresholds and look-ahead for a model on validation data.

    python bench/choose_gate.py MODEL [--data DIR] [--seconds 90] [--write]

The leads of choose_settings.py, as they are, in the virtual scanner, and off, at every hop of the gate: the network
runs once, then every combination is scored as `evaluate --gate` scores triggers (−60 to +100 ms around R). The
geometric mean of the errors of the first two counts as it does there, times that of the jitters: halving the one is
worth as much as halving the other. `--write` puts the best combination into the sidecar of the model.
"""

import argparse
import itertools
import json
import os
from pathlib import Path

import numpy as np
from choose_settings import leads
from numpy.lib.stride_tricks import sliding_window_view

from streamqrs.evaluation import TRIGGER_S
from streamqrs.gate import Gate
from streamqrs.metrics import pooled, score
from streamqrs.model import find, load
from streamqrs.settings import Settings
from streamqrs.types import RATE, WINDOW, Probabilities
from streamqrs.window import normalise

GRID = {
    "gate_threshold": (0.7, 0.8, 0.85, 0.9, 0.95),
    "gate_low": (0.2, 0.3),
    "gate_patience": (2, 3),
    "gate_depth": (10, 11, 12),
}
LEAST = 0.3  # % that every error counts besides: nine beats of the three thousand that are heard as they are
KINDS = ("clean", "scanned", "off")
TAIL = 64
"""Newest probabilities of each window that are kept; the gate looks at no more."""


def edges(model, ecg, hop):
    """Newest probabilities of the windows of a lead, shape (windows, 64)."""
    windows = sliding_window_view(ecg.astype(np.float32), WINDOW)[::hop]
    parts = [model(normalise(windows[at : at + 32].copy()))[:, -TAIL:].copy() for at in range(0, len(windows), 32)]
    return np.concatenate(parts)


def triggers(ecg, tails, settings):
    """Times in s of the newest samples that the triggers needed."""
    s = settings
    gate = Gate(s.gate_threshold, s.gate_low, s.gate_depth, s.distance, s.gate_patience)
    found, seen = [], 0
    for k, tail in enumerate(tails):
        stop = WINDOW + k * s.gate_hop
        passed = gate.watch(ecg[seen:stop])
        decided = gate.push(Probabilities(tail, stop - TAIL, stop))
        found += [peak.known - 1 for peak in (passed, decided) if peak]
        seen = stop
    return np.array(found) / RATE


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("STREAMQRS_DATA", "../shared/data")))
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    model = load(args.model)
    settings = Settings.of(model.settings)
    stop = round(args.seconds * RATE)
    material = []
    for kind, whole, beats, spans in leads(args.data):
        ecg = whole[:stop].astype(np.float32)
        if kind != "noisy" and len(ecg) > WINDOW:
            inside = [(max(a, 3.2), min(b, len(ecg) / RATE - 0.2)) for a, b in spans]
            inside = [(a, b) for a, b in inside if b > a]
            material.append((kind, ecg, edges(model, ecg, settings.gate_hop), beats[beats < len(ecg) / RATE], inside))
    rows = []
    for values in itertools.product(*GRID.values()):
        chosen = dict(zip(GRID, values, strict=True))
        now = Settings.of(model.settings, chosen)
        found = {kind: [] for kind in KINDS}
        for kind, ecg, tails, beats, spans in material:
            found[kind].append(score(beats, triggers(ecg, tails, now), TRIGGER_S, spans=spans, lead_in_s=0.0))
        scores = {kind: pooled(each) for kind, each in found.items()}
        error = float(np.prod([100 + LEAST - scores[kind].f1 for kind in KINDS[:2]])) ** 0.5
        error *= (scores["clean"].jitter_ms * scores["scanned"].jitter_ms) ** 0.5
        rows.append((error, chosen, scores))
    rows.sort(key=lambda row: row[0])
    print("  error  clean  delay ms    scanned  delay ms     off (false)  settings")
    for error, chosen, scores in rows[:16]:
        figures = "  ".join(
            f"{scores[k].f1:6.2f} {scores[k].bias_ms:5.1f} ± {scores[k].jitter_ms:4.1f}" for k in KINDS[:2]
        )
        figures += f" {scores['off'].fp:4d}"
        print(f"{error:7.3f} {figures}  {chosen}")
    if args.write:
        path = find(args.model)
        sidecar = json.loads(path.read_text())
        _, chosen, scores = rows[0]
        sidecar["settings"] |= chosen
        sidecar["scores"] |= {f"validation trigger {kind} f1": round(scores[kind].f1, 2) for kind in KINDS[:2]}
        path.write_text(json.dumps(sidecar, indent=2) + "\n")


if __name__ == "__main__":
    main()
