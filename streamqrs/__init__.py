"""Real-time QRS detection in one ECG lead, good enough to gate an MRI scanner from inside the magnet."""

__version__ = "0.1.0"
