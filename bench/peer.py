# SPDX-License-Identifier: Apache-2.0
"""What the peers of the benchmarks have in common: they stay alive and answer a line with a line."""

import argparse
import io
import sys
import time

import torch


def timed(work):
    """`ok` and the milliseconds of a call: on the clock, and of all threads together."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    wall, used = time.perf_counter() - clock, time.process_time() - processor
    return f"ok {1000 * wall:.6f} {1000 * used:.6f}"


def serve(version, answer):
    """Says `ready VERSION`, then answers commands until `quit` or the end of its input.

    answer: from what is loaded (at first None) and the words of a command to what is loaded from then on, and the reply.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    replies = sys.stdout
    sys.stdout = io.StringIO()  # libraries talk
    print(f"ready {version}", file=replies, flush=True)
    loaded = None
    for line in sys.stdin:
        words = line.split()
        if not words or words[0] == "quit":
            break
        try:
            loaded, reply = answer(loaded, words)
        except Exception as error:  # what went wrong is the other side's to report
            reply = f"error {type(error).__name__}: " + " ".join(str(error).split())[:400]
        print(reply, file=replies, flush=True)
