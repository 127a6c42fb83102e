"""A network of random ternary weights as a GGUF file, so that llama-bench has the same shape to run.

    python3 ggml_model.py OUT      the shape of the preset bitnet778m; --width, --layers, ... for another

The blocks' weights are TQ2_0 (2.06 bits), the token table Q4_K and the head Q6_K, as llama-quantize
leaves them for this type. Every row of a matrix is the same: no product looks at what it multiplies.
"""
import argparse
import struct

F32, Q4_K, Q6_K, TQ2_0 = 0, 12, 14, 35
UINT32, FLOAT32, STRING, ARRAY, INT32 = 4, 6, 8, 9, 5
FILE_TYPE_TQ2_0 = 37
ALIGNMENT = 32
HALF = struct.pack("<e", 0.01)

# One block of 256 weights each; the scales are small, so that activations stay finite.
BLOCK = {
    Q4_K: HALF + HALF + bytes(range(1, 13)) + bytes((i * 37) % 256 for i in range(128)),
    Q6_K: bytes((i * 73) % 256 for i in range(192)) + bytes([1, 2] * 8) + HALF,
    TQ2_0: bytes((i * 21) % 3 | (i * 5) % 3 << 2 | (i * 7) % 3 << 4 | i % 3 << 6 for i in range(64)) + HALF,
}


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key, kind, value):
    head = text(key) + struct.pack("<I", kind)
    if kind == STRING:
        return head + text(value)
    return head + struct.pack({UINT32: "<I", FLOAT32: "<f", INT32: "<i"}[kind], value)


def array(key, kind, values):
    form = {FLOAT32: "<f", INT32: "<i"}.get(kind)
    packed = b"".join(text(v) if kind == STRING else struct.pack(form, v) for v in values)
    return text(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) + packed


def entries(o):
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    tokens += [f"t{i}" for i in range(o.vocab - len(tokens))]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (o.vocab - 259)
    return [
        entry("general.architecture", STRING, "llama"),
        entry("general.name", STRING, "random ternary"),
        entry("general.file_type", UINT32, FILE_TYPE_TQ2_0),
        entry("general.quantization_version", UINT32, 2),
        entry("llama.context_length", UINT32, o.context),
        entry("llama.embedding_length", UINT32, o.width),
        entry("llama.block_count", UINT32, o.layers),
        entry("llama.feed_forward_length", UINT32, o.ffn),
        entry("llama.attention.head_count", UINT32, o.heads),
        entry("llama.attention.head_count_kv", UINT32, o.heads),
        entry("llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5),
        entry("llama.rope.dimension_count", UINT32, o.width // o.heads),
        entry("llama.vocab_size", UINT32, o.vocab),
        entry("tokenizer.ggml.model", STRING, "llama"),
        array("tokenizer.ggml.tokens", STRING, tokens),
        array("tokenizer.ggml.scores", FLOAT32, [-float(i) for i in range(o.vocab)]),
        array("tokenizer.ggml.token_type", INT32, kinds),
        entry("tokenizer.ggml.bos_token_id", UINT32, 1),
        entry("tokenizer.ggml.eos_token_id", UINT32, 2),
        entry("tokenizer.ggml.unknown_token_id", UINT32, 0),
    ]


def tensors(o):
    """(name, columns, rows, type); rows 0 for a vector."""
    yield "token_embd.weight", o.width, o.vocab, Q4_K
    yield "output_norm.weight", o.width, 0, F32
    yield "output.weight", o.width, o.vocab, Q6_K
    for i in range(o.layers):
        yield f"blk.{i}.attn_norm.weight", o.width, 0, F32
        yield f"blk.{i}.ffn_norm.weight", o.width, 0, F32
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{i}.{name}.weight", o.width, o.width, TQ2_0
        yield f"blk.{i}.ffn_gate.weight", o.width, o.ffn, TQ2_0
        yield f"blk.{i}.ffn_up.weight", o.width, o.ffn, TQ2_0
        yield f"blk.{i}.ffn_down.weight", o.ffn, o.width, TQ2_0


def row_of(columns, kind):
    if kind == F32:
        return struct.pack("<f", 1.0) * columns
    return BLOCK[kind] * (columns // 256)


def padded(count):
    return (count + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def write(out, o):
    table = list(tensors(o))
    metadata = entries(o)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(table), len(metadata)) + b"".join(metadata)
    offset = 0
    for name, columns, rows, kind in table:
        shape = [columns, rows] if rows else [columns]
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
        offset += padded(len(row_of(columns, kind)) * max(rows, 1))
    out.write(head + bytes(padded(len(head)) - len(head)))
    for _, columns, rows, kind in table:
        data = row_of(columns, kind) * max(rows, 1)
        out.write(data + bytes(padded(len(data)) - len(data)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    for name, standard in (("width", 1536), ("layers", 24), ("heads", 16), ("ffn", 4096),
                           ("vocab", 32000), ("context", 2048)):
        parser.add_argument(f"--{name}", type=int, default=standard)
    o = parser.parse_args()
    if o.width % 256 or o.ffn % 256:
        parser.error("--width and --ffn must be multiples of 256, the blocks of TQ2_0")
    with open(o.out, "wb") as out:
        write(out, o)


if __name__ == "__main__":
    main()
