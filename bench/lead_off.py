"""Count the beats and triggers that a model invents where the lead is off but moves: the table of docs/reliability.md.

    python bench/lead_off.py MODEL [MODEL …] [--more N] [--data DIR]

Three validation patients are heard for 20 s, then their lead comes off for 30 s; the first second of it does not count.
With `--more`, only the kinds that are hard are counted, in N leads more of each patient.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from streamqrs.detector import Detector
from streamqrs.model import load
from streamqrs.training.recordings import load_database
from streamqrs.types import RATE, Beat

PATIENTS = ("223", "106", "114")
HEARD_S, OFF_S = 20, 30
HARD = ("white noise, 1", "random walk")


def leads_off(rng):
    """What a lead that is off shows, by name, in heights of the QRS."""
    n = OFF_S * RATE
    t = np.arange(n) / RATE
    hum, white = np.sin(2 * np.pi * 50.02 * t), rng.standard_normal(n)
    return {
        "white noise, 0.05": 0.05 * white,
        "white noise, 1": white,
        "converter, one sample in ten": 0.005 * (rng.random(n) < 0.1),
        "converter, one sample in two": 0.005 * rng.integers(0, 2, n),
        "random walk": 0.02 * np.cumsum(white),
        "mains, 50 Hz": 3 * hum,
        "mains, 60 Hz": 3 * np.sin(2 * np.pi * 59.98 * t),
        "mains at a rail": np.clip(6 * hum + 4.5, -5, 5),
        "slow decay": 5 * np.exp(-t / 3) + 0.002 * white,
        "wander and white noise": np.sin(2 * np.pi * 0.25 * t) + 0.02 * white,
        "mains and white noise": 0.1 * hum + 0.02 * white,
    }


def invented(model, heart, off):
    """Beats and triggers found after the lead came off."""
    detector = Detector(RATE, model, gate=True)
    samples = np.concatenate((heart, heart[-1] + off - off[0])).astype(np.float32)
    kinds = [e.kind for e in detector.events(samples) if isinstance(e, Beat) and e.time > HEARD_S + 1]
    return np.array([kinds.count("beat"), kinds.count("trigger")])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--more", type=int, default=0)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("STREAMQRS_DATA", "../shared/data")))
    args = parser.parse_args()
    models = [load(name) for name in args.models]
    hearts = [r.ecg[0][HEARD_S * RATE : 2 * HEARD_S * RATE] for r in load_database(args.data, "mitdb", PATIENTS)]
    seeds = range(100, 100 + args.more * len(hearts)) if args.more else range(len(hearts))
    leads = [(hearts[seed % len(hearts)], leads_off(np.random.default_rng(seed))) for seed in seeds]
    print("beats, triggers of", ", ".join(args.models))
    for name in HARD if args.more else leads[0][1]:
        found = [sum(invented(m, heart, off[name]) for heart, off in leads) for m in models]
        print(f"{name:30s}", "   ".join(f"{beats:3d} {triggers:3d}" for beats, triggers in found))


if __name__ == "__main__":
    main()
