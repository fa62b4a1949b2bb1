"""A device for the tests: an LSL stream whose sample n holds n · 100 + k in channel k, from 0 when somebody listens."""

import argparse
import time

import numpy as np
import pylsl

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("--type", default="ECG")
parser.add_argument("--labels", default="")
parser.add_argument("--units", default="")
parser.add_argument("--channels", type=int, default=1)
parser.add_argument("--rate", type=float, default=250.0, help="as it truly is")
parser.add_argument("--nominal", type=float, help="as announced")
parser.add_argument("--format", default="float32")
parser.add_argument("--source-id", default="")
parser.add_argument("--count", type=int, default=10**9, help="samples until it falls silent")
parser.add_argument("--skip-at", type=int, default=10**9)
parser.add_argument("--skip", type=int, default=0, help="samples that are lost there")
given = parser.parse_args()

labels = given.labels.split(",") if given.labels else []
count = len(labels) or given.channels
kind = pylsl.lib.string2fmt[given.format]
nominal = given.rate if given.nominal is None else given.nominal
info = pylsl.StreamInfo(given.name, given.type, count, nominal, kind, given.source_id or given.name)
if labels:
    info.set_channel_labels(labels)
if given.units:
    info.set_channel_units(given.units.split(","))
outlet = pylsl.StreamOutlet(info)
print("announced", flush=True)
while not outlet.wait_for_consumers(1.0):
    pass

began, n, numbers = pylsl.local_clock(), 0, np.arange(count)
while True:
    if n == given.skip_at:
        n += given.skip
    if n < given.count:
        stamp = began + n / given.rate
        time.sleep(max(0.0, stamp - pylsl.local_clock()))
        value = n * 100 + numbers
        outlet.push_sample([str(v) for v in value] if kind == pylsl.cf_string else value.tolist(), stamp)
        n += 1
    else:
        time.sleep(0.1)
