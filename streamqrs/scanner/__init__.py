"""A virtual patient in a virtual scanner: synthetic or real ECG, the room's noise around it, and the truth.

`VirtualPatient` plays live, `corrupt` takes a clean record into the scanner, `Corruptor` does so with batches of
training windows, thousands a second. All draw from the same documented ranges (`ScannerSettings`, `PRESETS`), and
the same seed gives the same bits.
"""

from streamqrs.scanner.corruptor import Corruptor
from streamqrs.scanner.families import FAMILIES, SEQUENCES, ScannerSettings
from streamqrs.scanner.heart import SHAPES, Heart, HeartBeat, HeartSettings
from streamqrs.scanner.patient import VirtualPatient
from streamqrs.scanner.presets import PRESETS, settings_of
from streamqrs.scanner.pulses import make_sequence
from streamqrs.scanner.rhythm import RhythmSettings
from streamqrs.scanner.room import corrupt
from streamqrs.scanner.sequences import Sequence, read_sequences

__all__ = [
    "FAMILIES",
    "PRESETS",
    "SEQUENCES",
    "SHAPES",
    "Corruptor",
    "Heart",
    "HeartBeat",
    "HeartSettings",
    "RhythmSettings",
    "ScannerSettings",
    "Sequence",
    "VirtualPatient",
    "corrupt",
    "make_sequence",
    "read_sequences",
    "settings_of",
]
