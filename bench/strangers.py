"""Compare the patients that a model was trained on with others, in the same noise.

    python bench/strangers.py MODEL [MODEL …] [--data DIR] [--db -6] [--quiet 60]

Of each recording of MIT-BIH and QTDB, those of training and those of validation, 150 s are heard with noise that no
model has heard: of real electrodes (`streamqrs.training.remains`, validation patients), made-up electrodes that move,
and recorded noise at four times its speed; then the same without the weight of likeness. F1 in % with the same settings
for all models; `--quiet` seconds before the noise show the patient first, and do not count.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from choose_settings import beats_of, curve

from streamqrs.metrics import pooled, score
from streamqrs.model import load
from streamqrs.settings import Settings
from streamqrs.training.noise import at_level, validation_noise
from streamqrs.training.recordings import load_material
from streamqrs.training.remains import remains
from streamqrs.types import RATE

BEGIN_S, LENGTH_S = 100, 150
THRESHOLD, RHYTHM, LIKENESS = 0.3, 1.0, 1.0
KINDS = {"real electrodes": 3, "made-up electrodes": 2, "recorded, faster": 1}
"""Noise by its number in `streamqrs.training.noise.validation_noise`."""


def patients(part, quiet):
    """Yield ecg, beats and spans in s of the first leads of a part's long recordings, from `BEGIN_S` − `quiet` on."""
    start, stop = (BEGIN_S - quiet) * RATE, (BEGIN_S + LENGTH_S) * RATE
    for database, recordings in part.items():
        for one in recordings if database != "ludb" else ():
            beats = one.beats[0][(one.beats[0] >= start) & (one.beats[0] < stop)] - start
            spans = np.clip(one.known[0] - start, quiet * RATE, stop - start) / RATE
            yield one.ecg[0][start:stop], beats / RATE, [(float(a), float(b)) for a, b in spans if b > a]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("STREAMQRS_DATA", "../shared/data")))
    parser.add_argument("--db", type=float, default=-6.0, help="signal to noise, as the Noise Stress Test measures it")
    parser.add_argument("--quiet", type=int, default=0, help="seconds before the noise")
    args = parser.parse_args()
    material = load_material(args.data)
    others = remains(one for recordings in material.validation.values() for one in recordings)
    heard = []
    for who, part in (("trained on", material.train), ("others", material.validation)):
        for number, (ecg, beats, spans) in enumerate(patients(part, args.quiet)):
            rng = np.random.default_rng(1000 + number)
            for kind, place in KINDS.items():
                noise = validation_noise(material.unheard_noise, others, 4 * number + place, len(ecg), rng)
                noise = at_level(noise, args.db)
                noise[: args.quiet * RATE] = 0
                heard.append((who, kind, ecg + noise, beats, spans))
    print(f"F1 in % at {args.db:g} dB: patients trained on / others")
    for name in args.models:
        model = load(name, threads=os.cpu_count() or 1)
        curves = [curve(model, ecg, Settings()) for _, _, ecg, _, _ in heard]
        for likeness in (LIKENESS, 0.0):
            settings = Settings(threshold=THRESHOLD, rhythm=RHYTHM, likeness=likeness)
            found = {}
            for (who, kind, ecg, beats, spans), p in zip(heard, curves, strict=True):
                now = beats_of(ecg, p, settings)
                now, true = now[now >= args.quiet], beats[beats >= args.quiet]
                found.setdefault((kind, who), []).append(score(true, now, 0.075, spans=spans, lead_in_s=0.0))
            cells = [
                f"{kind} " + " / ".join(f"{pooled(found[kind, who]).f1:.1f}" for who in ("trained on", "others"))
                for kind in KINDS
            ]
            print(f"{name}, likeness {likeness:g}: {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
