#!/usr/bin/env python3
"""A trainer that bnexp did not write, without dependencies: bnexp gives it parameters, a folder and
a file to speak into, and it comes back where it was.

    bnexp sweep examples/external/sweep.toml

It fits y = 3 x - 2 by stochastic gradient descent, so that the protocol is all there is to read:

    BNEXP_CONFIG   a JSON file: {"lr": 0.1, "batch": 8, "seed": 0}
    BNEXP_EVENTS   append one JSON object a line; numbers become metrics
    BNEXP_RUN_DIR  keep whatever the next attempt needs in here
    SIGTERM        stop soon; exit 75 asks for another attempt
"""
import json
import os
import random
import signal
import sys

STEPS = 200
asked_to_stop = False


def stop(signum, frame):
    global asked_to_stop
    asked_to_stop = True


def load(path):
    """The state of the last attempt, or a fresh one."""
    try:
        with open(path) as file:
            return json.load(file)
    except FileNotFoundError:
        return {"step": 0, "w": 0.0, "b": 0.0}


def save(path, state):
    """All of it or none of it, whenever we are killed."""
    with open(path + ".new", "w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def gradient(state, config):
    """Mean gradient and loss over a batch that only the seed and the step decide."""
    draw = random.Random(config["seed"] * 1_000_003 + state["step"])
    dw = db = loss = 0.0
    for _ in range(config["batch"]):
        x = draw.uniform(-1, 1)
        off = state["w"] * x + state["b"] - (3 * x - 2 + draw.gauss(0, 0.1))
        dw += 2 * off * x / config["batch"]
        db += 2 * off / config["batch"]
        loss += off * off / config["batch"]
    return dw, db, loss


def main():
    signal.signal(signal.SIGTERM, stop)
    with open(os.environ["BNEXP_CONFIG"]) as file:
        config = json.load(file)
    checkpoint = os.path.join(os.environ["BNEXP_RUN_DIR"], "state.json")
    state = load(checkpoint)
    with open(os.environ["BNEXP_EVENTS"], "a") as events:
        while state["step"] < STEPS and not asked_to_stop:
            dw, db, loss = gradient(state, config)
            state["w"] -= config["lr"] * dw
            state["b"] -= config["lr"] * db
            state["step"] += 1
            if state["step"] % 10 == 0:
                # seq is the record's place: saying it again after a kill changes nothing.
                record = {"seq": state["step"] // 10 - 1, "step": state["step"],
                          "values": {"val/loss": loss, "w": state["w"], "b": state["b"]}}
                events.write(json.dumps(record) + "\n")
                events.flush()
                save(checkpoint, state)
    if state["step"] < STEPS:
        save(checkpoint, state)
        sys.exit(75)


if __name__ == "__main__":
    main()
