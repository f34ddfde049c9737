# SPDX-License-Identifier: Apache-2.0
"""Loads model folders with Hugging Face transformers and compares what the models answer with the examples beside them.

    python huggingface.py FOLDER...   one line of JSON for each: {"name", "passed", "detail"}

A folder holds config.json, whose first architecture is loaded, the weights, and example.safetensors: `in/NAME` are arguments of
the model's forward, `out/NAME` what it answers (`out/feature_maps.0`: the first of several). The weights must have every name
that the model looks for and no other.
"""
import os

import safetensors.torch
import torch
import transformers
from reports import outcome, report

TOLERANCE = 1e-4

transformers.logging.set_verbosity_error()


def load(folder):
    config = transformers.AutoConfig.from_pretrained(folder)
    if hasattr(config, "disable_custom_kernels"):
        config.disable_custom_kernels = True
    architecture = getattr(transformers, config.architectures[0])
    model, info = architecture.from_pretrained(
        folder, config=config, dtype=torch.float32, output_loading_info=True
    )
    faults = {kind: sorted(map(str, found))[:3] for kind, found in info.items() if found}
    if faults:
        raise ValueError(f"loading: {faults}")
    return config, model.eval()


def part(result, name):
    for step in name.split("."):
        result = result[int(step)] if step.isdigit() else getattr(result, step)
    return result


def differences(wanted, given):
    """Relative to the largest value where that is above 1."""
    for name, value in wanted.items():
        same = given[name] == value  # also where both are infinite
        largest = value[value.isfinite()].abs().max().clamp(min=1)
        yield torch.where(same, 0.0, (given[name] - value).abs() / largest)


def differences_of_sets(wanted, given):
    """Of queries in any order: where two proposals score nearly the same, rounding may exchange them."""
    rows = [torch.cat([outputs[name].flatten(2) for name in wanted], 2) for outputs in (wanted, given)]
    apart = torch.cdist(*rows, p=float("inf"))
    yield apart.min(1).values
    yield apart.min(2).values


def check(folder):
    config, model = load(folder)
    example = safetensors.torch.load_file(os.path.join(folder, "example.safetensors"))
    inputs = {name[3:]: value for name, value in example.items() if name.startswith("in/")}
    wanted = {name[4:]: value for name, value in example.items() if name.startswith("out/")}
    with torch.no_grad():
        result = model(**inputs)
    given = {name: part(result, name) for name in wanted}
    for name, value in wanted.items():
        if given[name].shape != value.shape:
            raise ValueError(f"{name} has shape {list(given[name].shape)} instead of {list(value.shape)}")
    compare = differences_of_sets if getattr(config, "two_stage", False) else differences
    largest = max(torch.nan_to_num(gap, nan=float("inf")).max().item() for gap in compare(wanted, given))
    values = sum(value.numel() for value in wanted.values())
    return outcome(folder, TOLERANCE, largest, values, f"{config.architectures[0]}: all names, {values} values")


report(check)
