"""One training step of `bnexp bench`'s network in PyTorch with torch.compile, on a GPU: bf16 autocast,
and BitLinear in fake quantization. Prints {"tokens_per_s": {mode: number}, ...} as JSON.

The network is tests/bench/torch_twin.py's with the attention that PyTorch recommends on GPUs.
"""
import argparse
import json
import os
import statistics
import sys
import time

import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../bench"))
import torch_twin  # noqa: E402

SHAPES = {
    "bitnet70m": dict(vocab=32000, width=768, layers=6, heads=12, ffn=2304),
    "tiny": dict(vocab=256, width=128, layers=2, heads=4, ffn=384),
}
MODES = ["bf16", "fakequant_bf16"]
WARM_UP = 5


def attend(block, x, cosine, sine, mask):
    batch, seq, width = x.shape
    split = lambda y: y.view(batch, seq, block.heads, width // block.heads).transpose(1, 2)
    q = torch_twin.rotate(split(block.q(x)), cosine, sine)
    k = torch_twin.rotate(split(block.k(x)), cosine, sine)
    v = split(block.v(x))
    out = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=True)
    return out.transpose(1, 2).reshape(batch, seq, width)


def measure(a, mode):
    torch.manual_seed(1)
    torch_twin.Linear.quantized = mode.startswith("fakequant")
    model = torch_twin.Model(a).cuda()
    model.cosine, model.sine = model.cosine.cuda(), model.sine.cuda()
    model.mask = None
    compiled = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), fused=True)
    tokens = torch.randint(0, a.vocab, (a.batch, a.context + 1), device="cuda")
    seconds = []
    for _ in range(WARM_UP + a.rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = compiled(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return a.batch * a.context / statistics.median(seconds[WARM_UP:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=sorted(SHAPES), required=True)
    for name in ("batch", "context", "rounds"):
        parser.add_argument("--" + name, type=int, required=True)
    a = parser.parse_args()
    for name, value in SHAPES[a.preset].items():
        setattr(a, name, value)
    torch.set_float32_matmul_precision("high")
    torch_twin.Block.attend = attend
    result = {"torch": torch.__version__, "card": torch.cuda.get_device_name(), "tokens_per_s": {}}
    for mode in MODES:
        result["tokens_per_s"][mode] = measure(a, mode)
        torch.cuda.empty_cache()
    result["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
