# SPDX-License-Identifier: Apache-2.0
"""Multi-scale deformable attention by PyTorch's grid sampling: the peer of the benchmarks.

Stays alive and takes one command per line, so that the timings of two programs can alternate:

    load FOLDER batch=N heads=M dim=D points=P queries=Q levels=HxW,HxW,... form=located|composed [type=float32]
    time forward|step COUNT      -> ok MILLISECONDS ...      step = forward and backward
    save FOLDER                  -> writes what one step gives
    quit

It answers `ok ...` or `error ...`. Arrays lie in the folder as raw float32, one file each: value, upstream, and
locations and weights (located), or reference, offsets and logits (composed).

Source of the operator: Zhu et al. 2021, "Deformable DETR: Deformable Transformers for End-to-End Object Detection".
"""

import argparse
import os
import sys
import time

import numpy
import torch
import torch.nn.functional as functional

INPUTS = {
    "located": ("value", "locations", "weights"),
    "composed": ("value", "reference", "offsets", "logits"),
}


def attend(value, levels, locations, weights):
    """value [N, S, M, D], locations [N, Q, M, L, P, 2], weights [N, Q, M, L, P] -> [N, Q, M * D]."""
    batch, _, heads, dim = value.shape
    queries, points = locations.shape[1], locations.shape[4]
    grids = (2 * locations - 1).transpose(1, 2).flatten(0, 1)  # [N * M, Q, L, P, 2]
    sampled = []
    start = 0
    for level, (height, width) in enumerate(levels):
        cells = value[:, start : start + height * width]
        image = cells.permute(0, 2, 3, 1).reshape(batch * heads, dim, height, width)
        sampled.append(
            functional.grid_sample(
                image, grids[:, :, level], mode="bilinear", padding_mode="zeros", align_corners=False
            )
        )
        start += height * width
    samples = torch.stack(sampled, dim=-2)  # [N * M, D, Q, L, P]
    shares = weights.transpose(1, 2).reshape(batch * heads, 1, queries, len(levels), points)
    summed = (samples * shares).flatten(-2).sum(-1)  # [N * M, D, Q]
    return summed.view(batch, heads * dim, queries).transpose(1, 2).contiguous()


def locate(reference, offsets, levels):
    """reference [N, Q, L, 2] and offsets in pixels -> locations."""
    sizes = torch.tensor([(w, h) for h, w in levels], dtype=offsets.dtype, device=offsets.device)
    return reference[:, :, None, :, None, :] + offsets / sizes[None, None, None, :, None, :]


class Case:
    """One set of arguments, ready to be timed."""

    def __init__(self, folder, device, settings):
        number = {key: int(settings[key]) for key in ("batch", "heads", "dim", "points", "queries")}
        self.levels = [tuple(int(n) for n in size.split("x")) for size in settings["levels"].split(",")]
        self.form = settings["form"]
        self.device = device
        length = sum(h * w for h, w in self.levels)
        n, m, d, p, q = (number[key] for key in ("batch", "heads", "dim", "points", "queries"))
        count = len(self.levels)
        shapes = {
            "value": (n, length, m, d),
            "locations": (n, q, m, count, p, 2),
            "weights": (n, q, m, count, p),
            "reference": (n, q, count, 2),
            "offsets": (n, q, m, count, p, 2),
            "logits": (n, q, m, count * p),
            "upstream": (n, q, m * d),
        }
        kind = getattr(torch, settings.get("type", "float32"))

        def read(name):
            array = numpy.fromfile(os.path.join(folder, f"{name}.f32"), dtype=numpy.float32)
            return torch.from_numpy(array.reshape(shapes[name])).to(device=device, dtype=kind)

        self.upstream = read("upstream")
        self.inputs = {name: read(name).requires_grad_() for name in INPUTS[self.form]}

    def run(self):
        if self.form == "located":
            return attend(self.inputs["value"], self.levels, self.inputs["locations"], self.inputs["weights"])
        value, reference, offsets, logits = self.inputs.values()
        locations = locate(reference, offsets, self.levels)
        weights = functional.softmax(logits, -1).view(offsets.shape[:-1])
        return attend(value, self.levels, locations, weights)

    def forward(self):
        with torch.no_grad():
            return self.run()

    def step(self):
        for tensor in self.inputs.values():
            tensor.grad = None
        output = self.run()
        output.backward(self.upstream)
        return output

    def time(self, what, count):
        work = {"forward": self.forward, "step": self.step}[what]
        times = []
        for _ in range(count):
            if self.device == "cuda":
                begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                begin.record()
                work()
                end.record()
                end.synchronize()
                times.append(begin.elapsed_time(end))
            else:
                begin = time.perf_counter()
                work()
                times.append(1000 * (time.perf_counter() - begin))
        return times

    def save(self, folder):
        results = {"output": self.step().detach()}
        results.update({f"grad_{name}": tensor.grad for name, tensor in self.inputs.items()})
        for name, tensor in results.items():
            tensor.float().cpu().numpy().astype(numpy.float32).tofile(os.path.join(folder, f"{name}.f32"))


def answer(case, words, device):
    """The case from now on, and the reply."""
    if words[0] == "load":
        if device == "cuda":
            torch.cuda.empty_cache()
        return Case(words[1], device, dict(word.split("=", 1) for word in words[2:])), "ok"
    if words[0] == "time":
        return case, "ok " + " ".join(f"{t:.6f}" for t in case.time(words[1], int(words[2])))
    if words[0] == "save":
        case.save(words[1])
        return case, "ok"
    raise ValueError(f"unknown command {words[0]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("error this PyTorch sees no GPU", flush=True)
        return
    print(f"ready {torch.__version__}", flush=True)
    case = None
    for line in sys.stdin:
        words = line.split()
        if not words or words[0] == "quit":
            break
        if words[0] == "load":
            case = None  # gives its memory back before the next one takes some
        try:
            case, reply = answer(case, words, options.device)
        except Exception as error:  # what went wrong is the other side's to report
            reply = f"error {type(error).__name__}: " + " ".join(str(error).split())
        print(reply, flush=True)


if __name__ == "__main__":
    main()
