"""Choose the detector's settings for a model on validation data: thresholds, and the weight of the rhythm.

    python bench/choose_settings.py MODEL [--data DIR] [--write]

The recordings set aside for validation (MIT-BIH train list, QTDB, LUDB) are heard as they are, with noise at −6 or
−15 dB (recorded, four times as fast, of made-up electrodes that move, or of real ones on other validation patients),
and in the virtual scanner; and then the lead is off. The network runs once over each; then every combination of the
grid is scored on the finished curves (F1 at 75 ms; where the lead is off, beats found in % of 75 a minute). The
geometric mean of the four errors (100 − F1, and a little, so that a beat or two do not decide; the last with a fifth
of the weight, for it is rare) counts: halving the errors is worth as much where there are few as where there are
many. `--write` puts the best combination into the sidecar of the model.
"""

import argparse
import itertools
import json
import os
from pathlib import Path

import numpy as np

from streamqrs.merge import OverlapMerger
from streamqrs.metrics import pooled, score
from streamqrs.model import find, load
from streamqrs.peaks import Peaks
from streamqrs.rhythm import Rhythm
from streamqrs.settings import Settings
from streamqrs.training.noise import at_level, validation_noise
from streamqrs.training.pauses import open_input
from streamqrs.training.pretrain import NOISE_FOR_TRAINING
from streamqrs.training.recordings import load_material
from streamqrs.training.remains import remains
from streamqrs.training.scanned import scan_lead
from streamqrs.types import RATE, Probabilities
from streamqrs.window import Windower

GRID = {
    "low": (0.1, 0.2, 0.3),
    "threshold": (0.3, 0.4, 0.5, 0.6, 0.7),
    "rhythm": (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0),
}
WEIGHT = {"clean": 1.0, "noisy": 1.0, "scanned": 1.0, "off": 0.2}
KINDS = tuple(WEIGHT)
LEAST = 0.1  # % that every error counts besides
SECONDS = 300
OFF_S = 20
NOISE_DB = (-6.0, -15.0)


def leads(data, seed=0):
    """Yield (kind, ecg, beats in s, spans in s) of the validation recordings at 250 Hz."""
    material = load_material(data)
    rng = np.random.default_rng(seed)
    number = 0
    unheard = material.noise[:, int(NOISE_FOR_TRAINING * material.noise.shape[1]) :]
    others = remains(recording for recordings in material.validation.values() for recording in recordings)
    for database, recordings in material.validation.items():
        for recording in recordings:
            chosen = [0] if database != "ludb" else rng.choice(len(recording.ecg), 2, replace=False)
            for lead in chosen:
                stop = SECONDS * RATE
                ecg = recording.ecg[lead][:stop]
                beats = recording.beats[lead][recording.beats[lead] < len(ecg)]
                spans = np.minimum(recording.known[lead], len(ecg)) / RATE
                spans = [(float(a), float(b)) for a, b in spans if b > a]
                noise = validation_noise(unheard, others, number, len(ecg), rng)
                noise = at_level(noise, NOISE_DB[number // 4 % 2])
                yield "clean", ecg, beats / RATE, spans
                yield "noisy", ecg + noise, beats / RATE, spans
                yield "scanned", scan_lead(ecg, beats, "mixture", 5000 + number), beats / RATE, spans
                off = np.concatenate([open_input(OFF_S * RATE // 2, rng) for _ in range(2)])
                yield "off", off, np.empty(0), [(0.0, float(OFF_S))]
                number += 1


def curve(model, ecg, settings):
    """Finished curve of probabilities of a whole lead."""
    windower, merger = Windower(settings.hop), OverlapMerger(settings.hop, settings.margin)
    windows = windower.push(ecg.astype(np.float32))
    windows += windower.flush()
    values = model(np.stack([w.samples for w in windows]))
    parts = [merger.push(Probabilities(v, w.start, w.stop)).values for v, w in zip(values, windows, strict=True)]
    return np.concatenate([*parts, merger.flush().values])


def beats_of(p, low, threshold, rhythm, settings):
    peaks, stage = Peaks(low), Rhythm(threshold, settings.distance, settings.patience, rhythm, settings.sure)
    found = peaks.push(Probabilities(p, 0, len(p))) + peaks.flush()
    return np.array([b.at for b in stage.push(found, len(p), len(p)) + stage.flush(len(p))]) / RATE


def rate_of(scores):
    """Beats found where the lead is off, in % of 75 a minute."""
    return 100 * sum(one.fp for one in scores) / (75 * len(scores) * OFF_S / 60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("STREAMQRS_DATA", "../shared/data")))
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    model, settings = load(args.model, threads=os.cpu_count() or 1), Settings()
    material = [(kind, curve(model, ecg, settings), beats, spans) for kind, ecg, beats, spans in leads(args.data)]
    rows = []
    for low, threshold, rhythm in itertools.product(*GRID.values()):
        if low > threshold:
            continue
        found = {kind: [] for kind in KINDS}
        for kind, p, beats, spans in material:
            now = beats_of(p, low, threshold, rhythm, settings)
            found[kind].append(score(beats, now, 0.075, spans=spans, lead_in_s=0.0))
        f1 = {kind: pooled(found[kind]).f1 for kind in KINDS[:3]}
        f1["off"] = 100 - rate_of(found["off"])
        weighed = [(100 + LEAST - f1[kind]) ** weight for kind, weight in WEIGHT.items()]
        mean = float(np.prod(weighed)) ** (1 / sum(WEIGHT.values()))
        rows.append((mean, low, threshold, rhythm, f1))
    rows.sort(key=lambda row: row[0])
    print("  error  clean  noisy scanned    off   low  threshold  rhythm")
    for mean, low, threshold, rhythm, f1 in rows[:12] + [row for row in rows if row[1:4] == (0.2, 0.5, 0.0)]:
        figures = f"{mean:7.3f} {f1['clean']:6.2f} {f1['noisy']:6.2f} {f1['scanned']:7.2f} {f1['off']:6.2f}"
        print(f"{figures} {low:5.2f} {threshold:10.2f} {rhythm:7.2f}")
    if args.write:
        path = find(args.model)
        sidecar = json.loads(path.read_text())
        _, low, threshold, rhythm, f1 = rows[0]
        sidecar["settings"] |= {"low": low, "threshold": threshold, "rhythm": rhythm}
        sidecar["scores"] |= {f"validation {kind} f1": round(f1[kind], 2) for kind in KINDS[:3]}
        path.write_text(json.dumps(sidecar, indent=2) + "\n")


if __name__ == "__main__":
    main()
