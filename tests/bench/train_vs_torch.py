"""Drives `bnexp bench` and torch_twin.py in turn and prints the ratios of their tokens a second.

A round is one step of each mode there and one of each variant here; a ratio is the median over
rounds of the ratio within a round, because a shared machine changes speed from minute to minute.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPES = {
    "bitnet70m": dict(vocab=32000, width=768, layers=6, heads=12, ffn=2304, context=256, batch=8),
    "d512": dict(vocab=4096, width=512, layers=6, heads=8, ffn=1024, context=256, batch=8),
    "tiny": dict(vocab=256, width=128, layers=2, heads=4, ffn=384, context=64, batch=4),
}
MODES = ["fp32", "bf16", "fakequant_fp32", "fakequant_bf16"]
VARIANTS = ["ternary", "ternary_int8bwd", "bf16", "fp32"]
PAIRS = [  # ours, theirs ("torch_" in front) or ours
    ("ternary", "torch_fakequant_fp32"), ("ternary", "torch_fakequant_bf16"),
    ("ternary_int8bwd", "torch_fakequant_fp32"), ("ternary_int8bwd", "torch_fakequant_bf16"),
    ("fp32", "torch_fp32"), ("bf16", "torch_bf16"), ("ternary", "bf16"), ("ternary", "fp32"),
    ("ternary_int8bwd", "bf16"), ("ternary_int8bwd", "fp32"), ("bf16", "fp32"),
]


def torch_command(shape, threads):
    command = [sys.executable, os.path.join(HERE, "torch_twin.py"), "--threads", str(threads)]
    for name, value in shape.items():
        command += ["--" + name, str(value)]
    return command


def torch_environment(threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), GOMP_SPINCOUNT="1000")
    if "TORCH_PRELOAD" in environment:
        environment["LD_PRELOAD"] = environment["TORCH_PRELOAD"]
    return environment


class Torch:
    def __init__(self, shape, threads):
        self.process = subprocess.Popen(torch_command(shape, threads), text=True,
                                        env=torch_environment(threads), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def step(self, mode):
        print(mode, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("train_vs_torch: PyTorch ended early")
        return float(answer)

    def close(self):
        """Ends it; returns the most memory it had [byte]."""
        self.process.stdin.close()
        _, _, usage = os.wait4(self.process.pid, 0)
        return usage.ru_maxrss * 1024


def bench_command(a, shape, variants, rounds):
    command = [a.bnexp, "bench", "--json", "--steps", "--threads", str(a.threads), "--rounds",
               str(rounds), "--variants", ",".join(variants)]
    for name, value in shape.items():
        knob = "train.batch" if name == "batch" else "model." + name
        command += ["--set", f"{knob}={value}"]
    return command


def bench(a, shape, variants, rounds=1):
    """Seconds a step of each variant."""
    done = subprocess.run(bench_command(a, shape, variants, rounds), check=True, text=True,
                          stdout=subprocess.PIPE)
    return {s["variant"]: s["step_ms"] / 1000 for s in json.loads(done.stdout)["steps"]}


def peak_memory(a, shape):
    """Of one ternary training process on each side [byte]."""
    process = subprocess.Popen(bench_command(a, shape, ["ternary"], 1), stdout=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    twin = Torch(shape, a.threads)
    for _ in range(2):
        twin.step("fakequant_fp32")
    return {"ternary": usage.ru_maxrss * 1024, "torch_fakequant_fp32": twin.close()}


def measure(a, shape):
    twin = Torch(shape, a.threads)
    for mode in MODES:
        twin.step(mode)  # warm-up
    rounds = []
    for _ in range(a.rounds):
        seconds = {"torch_" + mode: twin.step(mode) for mode in MODES}
        seconds.update(bench(a, shape, VARIANTS))
        rounds.append(seconds)
    twin.close()
    return rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bnexp", default=os.path.join(HERE, "../../build/release/bnexp"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="bitnet70m")
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    shape = SHAPES[a.shape]
    rounds = measure(a, shape)
    tokens = shape["batch"] * shape["context"]
    result = {
        "schema_version": 1, "shape": a.shape, "threads": a.threads, "rounds": a.rounds,
        "ratios": {f"{ours}_vs_{theirs}": statistics.median(r[theirs] / r[ours] for r in rounds)
                   for ours, theirs in PAIRS},
        "tokens_per_s": {name: tokens / statistics.median(r[name] for r in rounds)
                         for name in rounds[0]},
        "peak_rss_bytes": peak_memory(a, shape),
    }
    if a.json:
        print(json.dumps(result))
        return
    for section in ("tokens_per_s", "ratios", "peak_rss_bytes"):
        print(section)
        for name, value in result[section].items():
            print(f"  {name:42s} {value:12.2f}")


if __name__ == "__main__":
    main()
