"""Write bench/README.md, and the figures of docs/latency.md, from what `streamqrs bench … --out bench/results` left.

    python bench/write_readme.py

A part that was not measured is left out and named. In docs/latency.md what stands between `<!-- bench:NAME -->` and
`<!-- /bench:NAME -->` is written anew; nothing else is touched.
"""

import json
import re
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"
LATENCY = HERE.parent / "docs" / "latency.md"
PARTS = (
    "latency",
    "engine",
    "end-to-end-lsl",
    "end-to-end-mqtt",
    "throughput",
    "accuracy",
    "peers-mitdb",
    "peers-nstdb",
    "peers-sim",
    "soak",
)


def table(head, rows):
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def number(value, digits=1):
    return "–" if value is None else f"{value:,.{digits}f}"


def picture(title, name):
    """Link to a picture, if `bench` has drawn it: it does so only where the plot extra is installed."""
    return f"![{title}](results/{name}.png)" if (RESULTS / f"{name}.png").exists() else ""


def curve(given):
    heard = given["heard"]
    rows = []
    for point in given["points"]:
        every, normal = point["all"], point["normal"]
        name = (
            f"**{point['lookahead_ms']:g}**"
            if point["lookahead_ms"] == given["chosen_ms"]
            else f"{point['lookahead_ms']:g}"
        )
        delays = [number(normal[f"{key}_ms"]) for key in ("p5", "p50", "p95", "p99", "mean", "sd")]
        f1 = number(point["marked"]["f1"], 2), number(every["f1"], 2)
        rows.append([name, *f1, every["false"], every["missed"], *delays, number(every["sd_ms"])])
    head = [
        "look-ahead ms",
        "F1, marks",
        "F1, R",
        "false",
        "missed",
        "p5",
        "p50",
        "p95",
        "p99",
        "mean",
        "sd",
        "sd, all",
    ]
    said = (
        f"Model {given['model']} ({given['sha256'][:12]}) on {given['data']}, lead 0: {heard['records']} records, "
        f"the first {given['minutes_each']:g} min of each, {heard['beats']} beats. Delay of normal beats after R "
        "in ms of source time; the model's own look-ahead is bold. F1 in % of all beats, matched to the annotators' "
        "marks and to R peaks (record 217 is marked on pacing stimuli, 61 ms before); false and missed by R."
    )
    (own,) = (point for point in given["points"] if point["lookahead_ms"] == given["chosen_ms"])
    worst = ", ".join(f"{name} ({count})" for name, count in own["worst"].items()) or "none"
    return f"{said}\n\n{table(head, rows)}\n\nRecords with most errors at the model's own look-ahead: {worst}."


def wall(given):
    walls, columns = given["wall"], ("mean", "p50", "p90", "p99", "p99_9", "max")
    rows = [[name, *(number(spread[c], 3) for c in columns)] for name, spread in walls["stages"].items()]
    rows.append(["**one push, all of it**", *(number(walls["push"][c], 3) for c in columns)])
    rows.append(["a push without a window", *(number(walls["idle"][c], 3) for c in columns)])
    if walls["trigger"]:
        rows.append(["**last sample in → trigger out**", *(number(walls["trigger"][c], 3) for c in columns)])
    pace = "in real time" if walls["paced"] else "as fast as it goes"
    said = (
        f"Wall time in ms, one sample a push at {walls['rate']:g} Hz {pace}: {walls['push']['count']:.0f} pushes that "
        "ran the network"
        + (f", {walls['trigger']['count']:.0f} triggers" if walls["trigger"] else "")
        + ". The stages were timed in a pass of their own."
    )
    return f"{said}\n\n{table(['stage', 'mean', 'p50', 'p90', 'p99', 'p99.9', 'max'], rows)}"


def latency(given):
    parts = (
        [curve(given), f"{picture('curve', 'latency_curve')} {picture('delays', 'latency_delays')}"]
        if given["points"]
        else []
    )
    if given["wall"]:
        parts += [wall(given), picture("stages", "latency_stages")]
    return "\n\n".join(part for part in parts if part.strip())


def journey(given):
    a = given["arrivals"]
    delays = [number(a[f"{key}_ms"]) for key in ("p5", "p50", "p95", "p99", "mean", "sd")]
    arrivals = table(
        ["arrival after R, ms", "beats", "false", "missed", "p5", "p50", "p95", "p99", "mean", "sd"],
        [[f"{given['transport'].upper()} in, MQTT out", a["beats"], a["false"], a["missed"], *delays]],
    )
    legs = table(["where the mean went", "ms"], [[leg, number(ms)] for leg, ms in given["legs_ms"].items()])
    share = f" `streamqrs run` took {100 * given['run_cpu']:.1f} % of a core." if given["run_cpu"] is not None else ""
    sent = f"{given['rate']:g} Hz, {given['chunk']} sample(s) a chunk, {given['seconds']:g} s"
    if given["lag_max_s"] > 0.1 or given["dropped"]:
        share += f" **Too busy a machine: up to {given['lag_max_s']:g} s of signal waited.**"
    said = f"{sent}, room {given['preset']}.{share}"
    drawn = picture("journey", f"end_to_end_{given['transport']}")
    return "\n\n".join(part for part in (said, arrivals, legs, drawn) if part)


def throughput(given):
    offline = table(
        ["offline", "wall s", "CPU s", "× real time", "× real time per core"],
        [[f"{o['hours']:g} h, {o['threads']} thread(s)", number(o["wall_s"]), number(o["cpu_s"]),
          number(o["times_real_time"], 0), number(o["times_per_core"], 0)] for o in given["offline"]],
    )  # fmt: skip
    live = table(
        ["live stream", "% of a core", "streams a core holds"],
        [[f"gate {'on' if o['gate'] else 'off'}, decides every {o['hop_ms']:g} ms", number(100 * o["share"], 2),
          o["streams"]] for o in given["live"]],
    )  # fmt: skip
    memory = table(["peak memory", "MB"], [[name, number(mb, 0)] for name, mb in given["memory_mb"].items()])
    return f"{offline}\n\n{live}\n\n{memory}"


def accuracy(given):
    rows = []
    for row in given["rows"]:
        s = row["score"]
        worst = f"{row['worst_f1']:.2f} ({row['worst']})" if row["worst"] else "–"
        rows.append([row["model"], f"{row['data']} {row['group']}".strip(), f"{row['tolerance_ms']:g}", s["beats"],
                     number(s["se"], 2), number(s["ppv"], 2), number(s["f1"], 2), worst,
                     f"{number(s['mean_ms'])} ± {number(s['sd_ms'])}"])  # fmt: skip
    head = ["model", "data", "within ms", "beats", "Se", "PPV", "F1", "worst record", "R, ms"]
    return table(head, rows)


def peers(given):
    heard, parts = given["heard"], []
    for group in dict.fromkeys(group for row in given["rows"] for group in row["groups"]):
        rows = []
        for row in given["rows"]:
            if row["groups"]:
                at = row["groups"][group]
                lag = f"{number(at['150']['mean_ms'])} ± {number(at['150']['sd_ms'])}"
                rows.append([row["name"], row["version"], row["licence"], number(at["75"]["f1"], 2),
                             number(at["150"]["f1"], 2), lag, number(row["times_per_core"], 0)])  # fmt: skip
        head = ["detector", "version", "licence", "F1, 75 ms", "F1, 150 ms", "lag, ms", "× real time, one core"]
        parts.append(f"{group or given['data']}:\n\n{table(head, rows)}")
    live = [
        [
            name,
            number(s["f1"], 2),
            s["false"],
            s["missed"],
            *(number(s[f"{key}_ms"]) for key in ("p50", "p95", "mean", "sd")),
        ]
        for name, s in given["live"].items()
    ]
    if live:
        head = ["live trigger", "F1", "false", "missed", "p50", "p95", "mean", "sd"]
        parts.append("Triggers, delay after R in ms of source time:\n\n" + table(head, live))
    absent = [row["name"] for row in given["rows"] if not row["version"]]
    failed = [f"{row['name']} failed on {len(row['failed'])} records" for row in given["rows"] if row["failed"]]
    notes = ([f"Not installed: {', '.join(absent)}."] if absent else []) + [f"{line}." for line in failed]
    said = f"{given['data']}: {heard['records']} records, {heard['minutes']:g} min in all; matched alike, in one run."
    return "\n\n".join([" ".join([said, *notes]), *parts])


def engine(given):
    at_once, aligned = given["at_once"], given["aligned"]
    spread = at_once["response"]
    rows = [["**last sample in → trigger out**", *(number(spread[c], 3) for c in ("mean", "p50", "p99", "max"))]]
    rows += [[name, *(number(q[c], 3) for c in ("mean", "p50", "p99", "max"))] for name, q in at_once["stages"].items()]
    asked = f"; {'; '.join(given['realtime'])}" if given["realtime"] else ""
    said = (
        f"Source, engine and output in one process, {given['rate']:g} Hz live, {given['chunk']} sample(s) a chunk: "
        f"wall time in ms of {spread['count']:.0f} triggers, p99.9 {number(spread['p99_9'], 3)}{asked}."
    )
    parts = [said, table(["the engine alone", "mean", "p50", "p99", "max"], rows)]
    if aligned and aligned["off"]:
        off = aligned["off"]
        parts.append(
            f"With `--align {aligned['align_ms']:g}`, {off['count']:.0f} triggers left {number(off['p50'], 3)} ms "
            f"after R + {aligned['align_ms']:g} ms (p99 {number(off['p99'], 3)}, max {number(off['max'], 3)}); "
            f"{aligned['late']} would have been late and were not sent."
        )
    return "\n\n".join([*parts, picture("the engine alone", "engine")]).strip()


def soak(given):
    rows, kinds = [], {}
    for run in given["soaks"]:
        rows.append([
            f"{'live, gate on' if run['live'] else 'fast'}, seed {run['seed']}", number(run["signal_s"] / 3600, 2),
            len(run["faults"]), run["unaccounted"], run["gaps"], f"{run['missed']} of {run['clean_beats']}",
            run["false"], run["disorder"], f"{run['triggers']}, {run['late']}", run["dropped"],
            f"{run['growth_mb']:+.1f}", len(run["tasks_left"]) + len(run["threads_left"]),
        ])  # fmt: skip
        for kind, row in run["became"].items():
            all_runs = kinds.setdefault(kind, [0, 0, 0, 0.0])
            for k, key in enumerate(("count", "gaps", "quality")):
                all_runs[k] += row[key]
            all_runs[3] = max(all_runs[3], row["back_max_s"])
    head = [
        "pass", "h", "faults", "samples lost unsaid", "gaps", "beats missed outside faults", "false", "out of order",
        "triggers sent, late", "samples dropped", "MB grown", "tasks, threads left",
    ]  # fmt: skip
    faults = [[kind, count, gaps, quality, number(back_s, 2)] for kind, (count, gaps, quality, back_s) in kinds.items()]
    return "\n\n".join((
        table(head, rows),
        "Late triggers are not sent. Samples are dropped, with a gap, where other programs took the core for too long.",
        table(["fault", "times", "gaps", "quality events", "slowest return of beats, s"], sorted(faults)),
    ))  # fmt: skip


TITLES = {
    "latency": ("Triggers: delay, jitter and F1 by look-ahead; wall time by stage", latency),
    "engine": ("The engine's own wall time; aligned triggers", engine),
    "end-to-end-lsl": ("From R to a subscriber, LSL in", journey),
    "end-to-end-mqtt": ("From R to a subscriber, MQTT in", journey),
    "throughput": ("Throughput", throughput),
    "accuracy": ("Accuracy of confirmed beats", accuracy),
    "peers-mitdb": ("Beside others: MIT-BIH test", peers),
    "peers-nstdb": ("Beside others: noise stress test, noisy blocks", peers),
    "peers-sim": ("Beside others: virtual patients in four rooms", peers),
    "soak": ("Soak: hours under random faults", soak),
}


def measured_on(given):
    m = given["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in m["versions"].items())
    where = f"{m['date']}, {m['cpu']}, {m['cores']} cores, load {m['load']:g} at the start"
    return f"{where}; Python {m['python']}, {versions}."


def main():
    found = {
        name: json.loads((RESULTS / f"{name}.json").read_text())
        for name in PARTS
        if (RESULTS / f"{name}.json").exists()
    }
    parts = [
        "# Benchmarks",
        "Written by `bench/write_readme.py` from `bench/results/`; `make bench` measures it all anew; each part names "
        "the command that repeats it alone. Load above 0: other programs were at work; medians hold then, tails are "
        "pessimistic. Other scripts in this folder say at their top what they are for.",
    ]
    for name, given in found.items():
        title, write = TITLES[name]
        parts += [f"## {title}", f"`{given['command']}`  \n{measured_on(given)}", write(given)]
    if missing := [name for name in PARTS if name not in found]:
        parts.append(f"Not measured yet: {', '.join(missing)}.")
    (HERE / "README.md").write_text("\n\n".join(parts) + "\n")
    if LATENCY.exists():
        LATENCY.write_text(filled(LATENCY.read_text(), found))
    print(f"bench/README.md: {', '.join(found) or 'nothing measured yet'}")


def filled(text, found):
    """Text with the figures of what was found between its marks."""
    blocks = {
        "curve": ("latency", curve), "wall": ("latency", wall), "engine": ("engine", engine),
        "lsl": ("end-to-end-lsl", journey), "mqtt": ("end-to-end-mqtt", journey),
    }  # fmt: skip
    for block, (name, write) in blocks.items():
        if name in found and (block != "wall" or found[name]["wall"]):
            given = found[name]
            body = f"{write(given)}\n\n`{given['command']}`: {measured_on(given)}".replace(
                "(results/", "(../bench/results/"
            )
            pattern = rf"(<!-- bench:{block} -->\n).*?(<!-- /bench:{block} -->)"
            text = re.sub(pattern, lambda m, body=body: f"{m[1]}{body}\n{m[2]}", text, flags=re.S)
    return text


if __name__ == "__main__":
    main()
