"""read_files.py tensorboard|wandb PATH - an independent reader of the files that bnexp writes.

Checks every checksum and length and prints one JSON object a record. Standard library only.
"""
import json
import struct
import sys
import zlib


def varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at


def fields(data):
    """Yields (field, value) of a protobuf message; values are ints or bytes."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = data[at:at + 8], at + 8
        elif kind == 5:
            value, at = data[at:at + 4], at + 4
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            assert len(value) == size, 'a message is cut short'
        else:
            raise ValueError(f'wire type {kind}')
        yield tag >> 3, value


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc32c_table()


def masked_crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def tensorboard(data):
    at = 0
    while at < len(data):
        head = data[at:at + 8]
        size, = struct.unpack('<Q', head)
        assert struct.unpack('<I', data[at + 8:at + 12])[0] == masked_crc32c(head), f'length at {at}'
        event = data[at + 12:at + 12 + size]
        at += 12 + size
        assert struct.unpack('<I', data[at:at + 4])[0] == masked_crc32c(event), f'event before {at}'
        at += 4
        out = {'step': 0, 'values': {}}
        for field, value in fields(event):
            if field == 1:
                out['wall_s'], = struct.unpack('<d', value)
            elif field == 2:
                out['step'] = value
            elif field == 3:
                out['version'] = value.decode()
            elif field == 5:
                for _, scalar in fields(value):
                    parts = dict(fields(scalar))
                    out['values'][parts[1].decode()], = struct.unpack('<f', parts[2])
        yield out


def log_entries(data):
    """The entries of a LevelDB log with plain CRC-32 and seven bytes of file header."""
    assert data[:7] == b':W&B\xe1\xbe\x00', 'file header'
    at, entry = 7, b''
    while at < len(data):
        left = 32768 - at % 32768
        if left < 7:
            assert data[at:at + left] == b'\0' * left, 'padding'
            at += left
            continue
        crc, size, kind = struct.unpack('<IHB', data[at:at + 7])
        chunk = data[at + 7:at + 7 + size]
        assert len(chunk) == size and size <= left - 7, f'chunk at {at}'
        assert crc == zlib.crc32(bytes([kind]) + chunk), f'checksum at {at}'
        assert (kind in (1, 2)) == (entry == b'' and kind not in (3, 4)), f'order at {at}'
        entry += chunk
        at += 7 + size
        if kind in (1, 4):
            yield entry
            entry = b''
    assert entry == b'', 'the last entry is cut short'


def items(message, field):
    out = {}
    for number, value in fields(message):
        if number != field:
            continue
        parts = list(fields(value))
        key = '.'.join(part.decode() for name, part in parts if name in (1, 2))
        out[key] = next(part.decode() for name, part in parts if name == 16)
    return out


KINDS = {2: 'history', 3: 'summary', 7: 'stats', 12: 'metric', 13: 'output', 17: 'run', 18: 'exit', 20: 'final', 21: 'header', 22: 'footer'}


def wandb(data):
    for number, entry in enumerate(log_entries(data), 1):
        record = dict(fields(entry))
        assert record.pop(1) == number, f'record {number} has another number'
        (field, message), = record.items()
        out = {'kind': KINDS[field]}
        if field == 2:
            out['items'] = items(message, 1)
            out['step'] = dict(fields(dict(fields(message))[2]))[1]
        elif field == 3:
            out['items'] = items(message, 1)
        elif field == 17:
            run = dict(fields(message))
            out.update(id=run[1].decode(), project=run[3].decode(), name=run[8].decode(),
                       group=run[6].decode(), config=items(run[4], 1))
            for number, name in ((2, 'entity'), (9, 'notes')):
                out[name] = run.get(number, b'').decode()
            out['tags'] = [value.decode() for number, value in fields(message) if number == 10]
            out['commit'] = dict(fields(run.get(21, b''))).get(2, b'').decode()
        elif field == 7:
            out.update(items=items(message, 3), at_s=dict(fields(dict(fields(message))[2]))[1])
        elif field == 12:
            metric = dict(fields(message))
            out.update(name=metric[1].decode(), axis=metric.get(4, b'').decode(), goal=metric.get(8, 0),
                       options=dict(fields(metric[6])), summary=dict(fields(metric[7])))
        elif field == 13:
            output = dict(fields(message))
            out.update(stream={0: 'stderr', 1: 'stdout'}[output[1]], line=output[3].decode())
            assert dict(fields(output[2]))[1] > 0, 'a console line without its time'
        elif field == 18:
            out['exit_code'] = dict(fields(message)).get(1, 0)
        yield out


if __name__ == '__main__':
    with open(sys.argv[2], 'rb') as file:
        content = file.read()
    for line in {'tensorboard': tensorboard, 'wandb': wandb}[sys.argv[1]](content):
        print(json.dumps(line))
