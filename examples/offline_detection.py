"""Find the beats of a recording, and write them where other programs look for them.

python examples/offline_detection.py recording.edf
python examples/offline_detection.py                    # a minute of the virtual patient
"""

import sys
from pathlib import Path

import numpy as np

import streamqrs
from streamqrs.beat_files import write_beats
from streamqrs.records import read_record
from streamqrs.scanner import VirtualPatient


def main(path=None):
    if path:
        record = read_record(path)  # WFDB, EDF, BDF, XDF, BrainVision, CSV or npz
        ecg, rate = record.samples, record.rate
    else:
        rate = 500
        ecg = VirtualPatient(rate=rate, seed=1).read(60 * rate)
    beats = streamqrs.detect(ecg, rate)
    rr = np.array([beat.rr_s for beat in beats if beat.rr_s])
    print(f"{len(beats)} beats, {60 / rr.mean():.1f} per minute, RR {1000 * rr.mean():.0f} ± {1000 * rr.std():.0f} ms")
    for beat in beats[:5]:
        print(f"  R at {beat.time:7.3f} s, probability {beat.probability:.2f}")
    out = Path("beats.csv")  # .atr for WFDB, .edf for EDF+, _events.tsv for BIDS
    write_beats(out, beats, rate, overwrite=True)
    print(f"written to {out}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
