"""Puts what run.sh measured into one JSON file; docs/gpu.md describes it.

    results.py write WORK OUT --preset P --batch B --context C --rounds R
    results.py alike RUN.json OTHER.json TOLERANCE   (relative, of train/loss at the end)

Nothing is filled in: what was not measured is null, and says why.
"""
import argparse
import json
import os
import sys

TABLES = ["parity", "memcheck", "racecheck", "learning", "speed", "peer", "ranks"]
# Name, target, and how it is measured: from ours and theirs [tokens/s], or a value of a run.
RATIOS = [
    ("ternary_vs_bf16", 1.15, "ternary", "bf16"),
    ("ternary_int8bwd_vs_bf16", 1.3, "ternary_int8bwd", "bf16"),
    ("bf16_vs_torch_compiled_bf16", 1.2, "bf16", "torch_bf16"),
    ("ternary_vs_torch_compiled_fakequant", 1.5, "ternary", "torch_fakequant_bf16"),
]
MFU_TARGET = 0.45
# How many layers of each shape (ins, outs) a block of bitnet70m has.
BLOCK_LAYERS = {(768, 768): 4, (768, 2304): 2, (2304, 768): 1}
RUN_KEYS = ["train/loss", "tokens_per_s", "step_ms", "mfu", "mem/device_bytes", "energy_j", "gpu/power_w"]


def read_json(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def read_lines(path):
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError:
        return []


def table(work, name):
    rows = [line.split("\t") for line in read_lines(os.path.join(work, name + ".tsv"))]
    return [{"name": row[0], "outcome": row[1], "why": row[2]} for row in rows]


def number(text):
    try:
        return float(text)
    except ValueError:
        return None


def cards(work):
    found = []
    for line in read_lines(os.path.join(work, "cards.csv")):
        name, driver, memory, power, clock = [part.strip() for part in line.split(",")]
        found.append({"name": name, "driver": driver, "memory_mib": number(memory),
                      "power_limit_w": number(power), "sm_clock_max_mhz": number(clock)})
    return found


def latest(work, name):
    run = read_json(os.path.join(work, name + ".json"))
    if not run or run.get("state") != "finished":
        return None
    return {key: run["latest"].get(key) for key in RUN_KEYS}


def speeds(work):
    """Tokens a second by name: ours by variant, PyTorch's with torch_ in front."""
    bench = read_json(os.path.join(work, "steps.json")) or {}
    torch = read_json(os.path.join(work, "torch.json")) or {}
    ours = {step["variant"]: step["tokens_per_s"] for step in bench.get("steps", [])}
    ours.update({"torch_" + mode: value for mode, value in torch.get("tokens_per_s", {}).items()})
    return ours


def claim(name, target, measured, why):
    met = None if measured is None else measured >= target
    return {"name": name, "target": target, "measured": measured, "met": met,
            "why": why if measured is None else ""}


def products_share(kernels, format):
    """What a block's products of a format reach of the card's peak, forward and backward together; None: not
    all of them were measured, or the peak is not known."""
    rows = {(k["ins"], k["outs"]): k for k in (kernels or {}).get("kernels", []) if k["format"] == format}
    work = seconds = 0
    for shape, layers in BLOCK_LAYERS.items():
        row = rows.get(shape)
        if not row or not row.get("forward_share") or not row.get("backward_share"):
            return None
        operations = layers * shape[0] * shape[1]
        work += 3 * operations
        seconds += operations / row["forward_share"] + 2 * operations / row["backward_share"]
    return work / seconds


def claims(rates, kernels):
    found = []
    for name, target, ours, theirs in RATIOS:
        missing = [side for side in (ours, theirs) if not rates.get(side)]
        measured = None if missing else rates[ours] / rates[theirs]
        found.append(claim(name, target, measured, "not measured: " + ", ".join(missing)))
    found.append(claim("bf16_products_mfu", MFU_TARGET, products_share(kernels, "bf16"),
                       "not measured: no bench_kernels, or a card of unknown peak"))
    return found


def write(a):
    first = lambda name: (read_lines(os.path.join(a.work, name)) or [None])[0]
    commit = read_lines(os.path.join(a.work, "commit.txt"))
    rates = speeds(a.work)
    runs = {name: latest(a.work, "run_" + name) for name in ("ternary", "bf16")}
    bench = {part: read_json(os.path.join(a.work, part + ".json")) for part in ("steps", "kernels")}
    result = {
        "schema_version": 1,
        "when": first("when.txt"), "commit": commit[0] if commit else None, "dirty": "dirty" in commit,
        "host": first("host.txt"), "nvcc": first("nvcc.txt"), "cards": cards(a.work),
        "size": {"preset": a.preset, "batch": a.batch, "context": a.context, "rounds": a.rounds},
        "checks": {name: table(a.work, name) for name in TABLES},
        "tokens_per_s": rates, "runs": runs,
        "bench": bench,
        "torch": read_json(os.path.join(a.work, "torch.json")),
        "claims": claims(rates, bench["kernels"]),
    }
    temporary = a.out + ".tmp"
    with open(temporary, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    os.replace(temporary, a.out)


def alike(a):
    runs = [read_json(a.run), read_json(a.other)]
    if not all(run and run.get("state") == "finished" for run in runs):
        print("a run did not finish")
        return 1
    losses = [run["latest"].get("train/loss") for run in runs]
    if None in losses:
        print("a run has no loss")
        return 1
    apart = abs(losses[0] - losses[1]) / abs(losses[1])
    print(f"train/loss {losses[0]:.5f} and {losses[1]:.5f}, {apart:.2%} apart")
    return 0 if apart <= a.tolerance else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("write")
    one.add_argument("work")
    one.add_argument("out")
    one.add_argument("--preset", required=True)
    for name in ("batch", "context", "rounds"):
        one.add_argument("--" + name, type=int, required=True)
    two = commands.add_parser("alike")
    two.add_argument("run")
    two.add_argument("other")
    two.add_argument("tolerance", type=float)
    a = parser.parse_args()
    return write(a) if a.command == "write" else alike(a)


if __name__ == "__main__":
    sys.exit(main())
