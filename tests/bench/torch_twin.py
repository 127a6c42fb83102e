"""The network of `bnexp bench` in plain PyTorch, as its users write it: a Llama-style decoder with a
norm before each group of linear layers, tied head, AdamW; BitLinear simulates ternary weights and
int8 activations in floating point (the published straight-through code, arXiv:2402.17764).

Reads modes from standard input, one a line (fp32, bf16, fakequant_fp32, fakequant_bf16), runs one
training step in that mode and answers with its seconds.
"""
import argparse
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.gain


class Linear(nn.Linear):
    quantized = False

    def __init__(self, ins, outs):
        super().__init__(ins, outs, bias=False)

    def forward(self, x):
        if not Linear.quantized:
            return F.linear(x, self.weight)
        scale = 127.0 / x.abs().amax(dim=-1, keepdim=True).clamp(min=1e-5)
        x_q = (x * scale).round().clamp(-128, 127) / scale
        gamma = self.weight.abs().mean().clamp(min=1e-5)
        w_q = (self.weight / gamma).round().clamp(-1, 1) * gamma
        return F.linear(x + (x_q - x).detach(), self.weight + (w_q - self.weight).detach())


def rotate(x, cosine, sine):
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), dim=-1)


class Block(nn.Module):
    def __init__(self, width, heads, ffn):
        super().__init__()
        self.heads = heads
        self.attn_norm, self.attn_sub_norm = Norm(width), Norm(width)
        self.ffn_norm, self.ffn_sub_norm = Norm(width), Norm(ffn)
        self.q, self.k, self.v, self.o = (Linear(width, width) for _ in range(4))
        self.gate, self.up, self.down = Linear(width, ffn), Linear(width, ffn), Linear(ffn, width)

    def attend(self, x, cosine, sine, mask):
        batch, seq, width = x.shape
        split = lambda y: y.view(batch, seq, self.heads, width // self.heads).transpose(1, 2)
        q = rotate(split(self.q(x)).float(), cosine, sine)
        k = rotate(split(self.k(x)).float(), cosine, sine)
        scores = q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5 + mask
        out = F.softmax(scores.float(), dim=-1) @ split(self.v(x)).float()
        return out.transpose(1, 2).reshape(batch, seq, width)

    def forward(self, x, cosine, sine, mask):
        x = x + self.o(self.attn_sub_norm(self.attend(self.attn_norm(x), cosine, sine, mask)))
        y = self.ffn_norm(x)
        return x + self.down(self.ffn_sub_norm(F.silu(self.gate(y)) * self.up(y)))


class Model(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.embed = nn.Embedding(a.vocab, a.width)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(a.width, a.heads, a.ffn) for _ in range(a.layers))
        self.norm = Norm(a.width)
        dim = a.width // a.heads
        frequency = 10000.0 ** (-torch.arange(0, dim, 2) / dim)
        angle = torch.arange(a.context)[:, None] * frequency
        self.cosine, self.sine = angle.cos(), angle.sin()
        self.mask = torch.full((a.context, a.context), float("-inf")).triu(1)

    def forward(self, tokens, targets):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, self.cosine, self.sine, self.mask)
        logits = F.linear(self.norm(x), self.embed.weight)
        return F.cross_entropy(logits.float().view(-1, logits.shape[-1]), targets.reshape(-1))


def step(model, optimizer, tokens, mode):
    Linear.quantized = mode.startswith("fakequant")
    start = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mode.endswith("bf16")):
        loss = model(tokens[:, :-1], tokens[:, 1:])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    for name in "vocab width layers heads ffn context batch threads".split():
        parser.add_argument("--" + name, type=int, required=True)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    model = Model(a)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), foreach=True)
    tokens = torch.randint(0, a.vocab, (a.batch, a.context + 1))
    for line in sys.stdin:
        print(step(model, optimizer, tokens, line.strip()), flush=True)


if __name__ == "__main__":
    main()
