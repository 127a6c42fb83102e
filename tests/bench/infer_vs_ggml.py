"""Prefill and decode of one ternary shape, bnexp beside llama.cpp: see infer_vs_ggml.sh."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

PROMPT, WRITTEN = 512, 128
PRESET = "bitnet778m"
HERE = os.path.dirname(os.path.abspath(__file__))


def fail(message):
    print(f"infer_vs_ggml: {message}", file=sys.stderr)
    sys.exit(2)


def output_of(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        fail(f"{command[0]} failed: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
    return json.loads(done.stdout)


def run_llama(o, model):
    rows = output_of([o.llama_bench, "-m", model, "-t", str(o.threads), "-p", str(PROMPT),
                      "-n", str(WRITTEN), "-r", "3", "-o", "json"])
    rates = {}
    for row in rows:
        rates["prefill" if row["n_prompt"] else "decode"] = row["avg_ts"]
    return rates


def run_bnexp(o):
    command = [o.bnexp, "bench", "--inference", "--json", "--threads", str(o.threads),
               "--variants", "ternary", "--preset", PRESET]
    figures = {row["variant"]: row for row in output_of(command)["inference"]}
    return {"prefill": figures["ternary"]["prefill_tokens_per_s"],
            "decode": figures["ternary"]["decode_tokens_per_s"],
            "decode_trained_head": figures["ternary_trained_head"]["decode_tokens_per_s"],
            "bits_per_weight": figures["ternary"]["bits_per_weight"]}


def median_of(rows, key):
    return statistics.median(row[key] for row in rows)


def report(o, ours, theirs):
    pairs = (("prefill", "prefill", "prefill"), ("decode", "decode", "decode"),
             ("decode_trained_head", "decode_trained_head", "decode"))
    ratios = {name: statistics.median(a[mine] / b[other] for a, b in zip(ours, theirs))
              for name, mine, other in pairs}
    if o.json:
        print(json.dumps({"preset": PRESET, "threads": o.threads, "rounds": o.rounds,
                          "bits_per_weight": ours[0]["bits_per_weight"],
                          "bnexp": {name: median_of(ours, mine) for name, mine, _ in pairs},
                          "llama_cpp": {k: median_of(theirs, k) for k in ("prefill", "decode")},
                          "ratios": ratios}))
        return
    print(f"{o.threads} threads, {o.rounds} rounds in turn, medians; tokens a second")
    print(f"{'':34}{'bnexp':>10}{'llama.cpp':>11}{'ratio':>8}")
    labels = {"prefill": f"read {PROMPT} tokens", "decode": f"write {WRITTEN} tokens",
              "decode_trained_head": f"write {WRITTEN} tokens, bf16 head"}
    for name, mine, other in pairs:
        print(f"{labels[name]:34}{median_of(ours, mine):10.0f}{median_of(theirs, other):11.0f}"
              f"{ratios[name]:8.2f}")
    print(f"weights of the blocks: {ours[0]['bits_per_weight']:.2f} bits, TQ2_0 2.06")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-bench", default=os.environ.get("LLAMA_BENCH", ""))
    parser.add_argument("--bnexp", default=os.path.join(HERE, "../../build/release/bnexp"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    o = parser.parse_args()
    if not os.access(o.llama_bench, os.X_OK):
        fail("no llama-bench to compare with; build llama.cpp and name it with --llama-bench PATH")
    if not os.access(o.bnexp, os.X_OK):
        fail(f"no {os.path.normpath(o.bnexp)}; build the release preset or name it with --bnexp PATH")
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "ternary.gguf")
        subprocess.run([sys.executable, os.path.join(HERE, "ggml_model.py"), model], check=True)
        ours, theirs = [], []
        for _ in range(o.rounds):
            theirs.append(run_llama(o, model))
            ours.append(run_bnexp(o))
    report(o, ours, theirs)


if __name__ == "__main__":
    main()
