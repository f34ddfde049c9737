# SPDX-License-Identifier: Apache-2.0
"""Published models of other people's libraries on PyTorch: the peer of the benchmark of models.

Stays alive and takes one command per line, so that the timings of several programs can alternate:

    load FOLDER KIND    -> ok     a folder with config.json, model.safetensors and inputs.safetensors
    time                -> ok WALL PROCESSOR        milliseconds of a forward pass
    save                -> writes outputs.safetensors into the folder
    quit

It answers `ok ...` or `error ...`. A new kind is a function and a row in KINDS.
"""

import json
import os

import backbones_torch
import safetensors.torch
import torch
import transformers
from peer import serve, timed


def grounding_dino(folder, _config):
    """Grounding DINO of transformers: logits and boxes of the last layer."""
    model = transformers.GroundingDinoForObjectDetection.from_pretrained(
        folder, disable_custom_kernels=True, dtype=torch.float32
    )

    def forward(inputs):
        output = model(
            pixel_values=inputs["pixels"],
            input_ids=inputs["ids"],
            attention_mask=inputs["mask"],
            token_type_ids=torch.zeros_like(inputs["ids"]),
        )
        tokens = inputs["ids"].shape[1]
        return {"logits": output.logits[:, :, :tokens], "boxes": output.pred_boxes}

    return model, forward


def swin(folder, _config):
    """The feature maps of transformers' Swin."""
    model = transformers.SwinBackbone.from_pretrained(folder, dtype=torch.float32)

    def forward(inputs):
        maps = model(pixel_values=inputs["pixels"]).feature_maps
        return {f"map{i}": x.permute(0, 2, 3, 1) for i, x in enumerate(maps)}  # a view: it takes no time

    return model, forward


# A function that takes a folder and its parsed config.json, and gives the module and what is timed.
KINDS = {"grounding-dino": grounding_dino, "swin": swin, **backbones_torch.KINDS}


class Case:
    """A model with its inputs."""

    def __init__(self, folder, kind):
        self.folder = folder
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        module, self.forward = KINDS[kind](folder, config)
        module.eval()
        inputs = safetensors.torch.load_file(os.path.join(folder, "inputs.safetensors"))
        self.inputs = {name: x.long() if x.dtype == torch.int32 else x for name, x in inputs.items()}

    def run(self):
        with torch.no_grad():
            return self.forward(self.inputs)

    def save(self):
        outputs = {name: x.contiguous() for name, x in self.run().items()}
        safetensors.torch.save_file(outputs, os.path.join(self.folder, "outputs.safetensors"))


def answer(case, words):
    """The case from now on, and the reply."""
    if words[0] == "load":
        return Case(words[1], words[2]), "ok"
    if words[0] == "time":
        return case, timed(case.run)
    if words[0] == "save":
        case.save()
        return case, "ok"
    raise ValueError(f"unknown command {words[0]}")


if __name__ == "__main__":
    serve(f"{torch.__version__} transformers {transformers.__version__}", answer)
