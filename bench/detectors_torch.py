# SPDX-License-Identifier: Apache-2.0
"""Deformable DETR of transformers on PyTorch, and of its export on ONNX Runtime: the peer of the benchmark.

Stays alive and takes one command per line, so that the timings of several programs can alternate:

    load FOLDER size=N boxes=N     -> ok     a model folder (config.json, model.safetensors) with pixels.f32, boxes.f32
    time forward|step|onnx         -> ok WALL PROCESSOR        milliseconds; step = forward, loss, backward, clipping, AdamW
    save FOLDER                    -> writes logits.f32 and boxes.f32
    quit

It answers `ok ...` or `error ...`.
"""

import importlib.metadata
import os

import numpy
import torch
import transformers
from peer import serve, timed


class Model:
    """A detector with one picture."""

    def __init__(self, folder, settings):
        self.folder = folder
        size, boxes = int(settings["size"]), int(settings["boxes"])
        self.model = transformers.DeformableDetrForObjectDetection.from_pretrained(
            folder, disable_custom_kernels=True, dtype=torch.float32
        )
        pixels = numpy.fromfile(os.path.join(folder, "pixels.f32"), dtype=numpy.float32)
        self.pixels = torch.from_numpy(pixels.reshape(1, 3, size, size))
        self.mask = torch.ones(1, size, size, dtype=torch.int64)
        truth = numpy.fromfile(os.path.join(folder, "boxes.f32"), dtype=numpy.float32)
        classes = torch.arange(boxes) % self.model.config.num_labels
        self.labels = [{"class_labels": classes, "boxes": torch.from_numpy(truth.reshape(boxes, 4))}]
        for name, parameter in self.model.named_parameters():
            stem = "backbone" in name and any(part in name for part in ("embedder", "stages.0."))
            parameter.requires_grad_(not stem)
        self.optimizer = None
        self.session = None

    def forward(self):
        self.model.eval()
        with torch.no_grad():
            return self.model(pixel_values=self.pixels, pixel_mask=self.mask)

    def step(self):
        self.model.train()
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(parameters, lr=1e-6, weight_decay=1e-4)
        self.optimizer.zero_grad(set_to_none=True)
        output = self.model(pixel_values=self.pixels, pixel_mask=self.mask, labels=self.labels)
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 0.1)
        self.optimizer.step()

    def onnx(self):
        if self.session is None:
            self.session = self.export()
        return self.session.run(None, {"pixels": self.pixels.numpy()})

    def export(self):
        import onnxruntime

        class Plain(torch.nn.Module):
            def __init__(self, model, mask):
                super().__init__()
                self.model, self.mask = model, mask

            def forward(self, pixels):
                output = self.model(pixel_values=pixels, pixel_mask=self.mask)
                return output.logits, output.pred_boxes

        self.model.eval()
        path = os.path.join(self.folder, "model.onnx")
        with torch.no_grad():
            torch.onnx.export(
                Plain(self.model, self.mask),
                (self.pixels,),
                path,
                input_names=["pixels"],
                output_names=["logits", "boxes"],
                opset_version=20,
                dynamo=True,
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        given = self.forward()
        for wanted, got in zip((given.logits, given.pred_boxes), session.run(None, {"pixels": self.pixels.numpy()})):
            worst = float(numpy.abs(wanted.numpy() - got).max())
            if not worst <= 2e-3:
                raise ValueError(f"ONNX Runtime's answer is {worst} from PyTorch's")
        return session

    def time(self, what):
        return timed({"forward": self.forward, "step": self.step, "onnx": self.onnx}[what])

    def save(self, folder):
        output = self.forward()
        for name, tensor in (("logits", output.logits), ("boxes", output.pred_boxes)):
            tensor.numpy().astype(numpy.float32).tofile(os.path.join(folder, f"{name}.f32"))


def answer(model, words):
    """The model from now on, and the reply."""
    if words[0] == "load":
        return Model(words[1], dict(word.split("=", 1) for word in words[2:])), "ok"
    if words[0] == "time":
        return model, model.time(words[1])
    if words[0] == "save":
        model.save(words[1])
        return model, "ok"
    raise ValueError(f"unknown command {words[0]}")


if __name__ == "__main__":
    onnxruntime = importlib.metadata.version("onnxruntime")
    serve(f"{torch.__version__} transformers {transformers.__version__} onnxruntime {onnxruntime}", answer)
