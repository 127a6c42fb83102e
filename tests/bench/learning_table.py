"""Reads `bnexp ls --json`, prints one table a sweep: each variant at its best rate.

Intervals are Student's t at 95 % over seeds. The gap's interval is of the differences seed by seed:
runs of one seed share their initial weights and the order of their data.
"""
import json
import sys
from collections import defaultdict
from statistics import mean, stdev

ORDER = ["fp32", "fp16", "bf16", "int8", "ternary", "binary"]
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def interval(values):
    count = len(values)
    return T95[count - 1] * stdev(values) / count**0.5 if 1 < count <= 10 else float("nan")


def rows(runs):
    """variant -> rate -> seed -> loss"""
    losses = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        config, latest = run["config"], run["latest"]
        if run["state"] == "finished" and latest.get("val/loss") is not None:
            rate, seed = config["optim.lr"], config["train.seed"]
            losses[config["quant.variant"]][rate][seed] = latest["val/loss"]
    return losses


def table(name, runs):
    losses = rows(runs)
    best = {v: min(by_rate, key=lambda r: mean(by_rate[r].values()))
            for v, by_rate in losses.items()}
    base = losses["fp16"][best["fp16"]] if "fp16" in best else {}
    print(f"### {name}\n")
    print("| variant | best rate of 4 | seeds | val/loss [nats/byte] | gap to fp16 |")
    print("| --- | --- | --- | --- | --- |")
    for variant in (v for v in ORDER if v in best):
        rates, rate = losses[variant], best[variant]
        seeds = rates[rate]
        edge = " (edge)" if rate in (min(rates), max(rates)) else ""
        line = f"| {variant} | {rate:g}{edge} | {len(seeds)} "
        line += f"| {mean(seeds.values()):.4f} ± {interval(list(seeds.values())):.4f} "
        both = [seeds[s] - base[s] for s in seeds if s in base]
        gap = f"{mean(both):+.4f} ± {interval(both):.4f}" if both and variant != "fp16" else ""
        print(line + f"| {gap} |")
    print()


by_sweep = defaultdict(list)
for one in json.load(sys.stdin)["runs"]:
    by_sweep[one["sweep"]].append(one)
for sweep, its in sorted(by_sweep.items()):
    table(sweep, its)
