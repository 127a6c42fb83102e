#!/usr/bin/env python3
"""Optuna on the surfaces of search_quality.c: medians of the best value after 25, 50 and 100 trials.

    search_peer.py SURFACE tpe|gp [SEEDS [TRIALS]]       needs Optuna; gp needs PyTorch too
"""

import math
import statistics
import sys

import optuna


def branin(trial):
    x, y = trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15)
    a = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return a * a + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.39788735772973816


ALPHA = [1, 1.2, 3, 3.2]
A = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14],
     [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
C = [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
     [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]]


def hartmann6(trial):
    x = [trial.suggest_float(f"x{d}", 0, 1) for d in range(6)]
    return 3.322368011391339 - sum(
        alpha * math.exp(-sum(a * (v - c * 1e-4) ** 2 for a, c, v in zip(row, centre, x)))
        for alpha, row, centre in zip(ALPHA, A, C))


def ackley5(trial):
    x = [trial.suggest_float(f"x{d}", -32.768, 32.768) for d in range(5)]
    squares, cosines = sum(v * v for v in x), sum(math.cos(2 * math.pi * v) for v in x)
    return 20 - 20 * math.exp(-0.2 * math.sqrt(squares / 5)) + math.e - math.exp(cosines / 5)


def mixed(trial):
    rate = math.log10(trial.suggest_float("lr", 1e-5, 1e-1, log=True)) + 3
    width = trial.suggest_int("width", 128, 1024, step=128) / 128
    variant = trial.suggest_categorical("variant", [0, 1, 2])
    decay = math.log10(trial.suggest_float("wd", 1e-4, 1, log=True)) + 1
    warmup = (trial.suggest_int("warmup", 0, 1000) - 200) / 400
    rate += 0.15 * math.log2(width / 8) - [0, 0.05, 0.6][variant]
    bend = 0.35 * rate**2 + 0.8 * rate**3 if rate > 0 else 0.12 * rate**2
    return ([0, 0.01, 0.06][variant] + 0.4 * (width**-0.5 - 8**-0.5) + bend
            + 0.02 * decay**2 + 0.015 * warmup**2)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    surfaces = {f.__name__: f for f in (branin, hartmann6, ackley5, mixed)}
    samplers = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}
    surface, sampler = surfaces[sys.argv[1]], samplers[sys.argv[2]]
    seeds = int(sys.argv[3]) if len(sys.argv) > 3 else 30
    trials = int(sys.argv[4]) if len(sys.argv) > 4 else 50
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    best = []
    for seed in range(seeds):
        study = optuna.create_study(sampler=sampler(seed=seed))
        study.optimize(surface, n_trials=trials)
        values = [trial.value for trial in study.trials]
        best.append([min(values[:i + 1]) for i in range(trials)])
    for count in (25, 50, 100):
        if count <= trials:
            median = statistics.median(run[count - 1] for run in best)
            print(f"{sys.argv[1]} {sys.argv[2]} @{count}: {median:.4g} ({seeds} seeds)")


main()
