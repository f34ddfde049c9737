# SPDX-License-Identifier: Apache-2.0
"""Loads weights into torchvision's models, strictly, and compares what they answer with the examples beside them.

    python torchvision_models.py FOLDER...   one line of JSON for each: {"name", "passed", "detail"}

A folder is named `tv-MODEL` after torchvision's function, `tv-fasterrcnn[-upstream]` for ScaleMAE-Det. It holds weights.pth and
example.safetensors: `in/NAME` goes in, `out/NAME` is compared. A strict load fails on any name too many or too few; what the
files leave out on purpose, classifiers, is taken out of the models before.
"""
import importlib.util
import math
import os
import sys

import safetensors.torch
import torch
from reports import outcome, report


def suppress(boxes, scores, threshold):
    """Non-maximum suppression by its definition."""
    kept = []
    order = scores.argsort(descending=True, stable=True).tolist()
    while order:
        best, order = order[0], order[1:]
        kept.append(best)
        if not order:
            break
        rest = boxes[order]
        low = torch.maximum(rest[:, :2], boxes[best, :2])
        high = torch.minimum(rest[:, 2:], boxes[best, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        area = lambda box: (box[..., 2:] - box[..., :2]).prod(-1)
        overlap = shared / (area(rest) + area(boxes[best]) - shared)
        order = [index for index, value in zip(order, overlap.tolist()) if not value > threshold]
    return torch.tensor(kept, dtype=torch.int64)


def reading_of(start, end, cells, length, samples):
    """How much each of `length` pixels counts in each cell between two places: means of samples, linear between pixels."""
    side = max(end - start, 1.0) / cells
    count = samples if samples > 0 else math.ceil(side)
    weights = torch.zeros(cells, length)
    for cell in range(cells):
        for sample in range(count):
            place = start + side * (cell + (sample + 0.5) / count)
            if not -1 <= place <= length:
                continue
            place = min(max(place, 0.0), length - 1.0)
            low = int(place)
            weights[cell, low] += (1 - (place - low)) / count
            weights[cell, min(low + 1, length - 1)] += (place - low) / count
    return weights


def roi_align(maps, boxes, scale, height, width, samples, aligned):
    """RoIAlign (He et al. 2017), rows and columns one after the other."""
    rows = [maps.new_zeros(0, maps.shape[1], height, width)]
    for picture, *corners in boxes.tolist():
        x0, y0, x1, y1 = (value * scale - 0.5 * aligned for value in corners)
        down = reading_of(y0, y1, height, maps.shape[2], samples)
        along = reading_of(x0, x1, width, maps.shape[3], samples)
        rows.append((down @ maps[int(picture)] @ along.T)[None])
    return torch.cat(rows)


def load_torchvision():
    """torchvision, also where its operators are for another build of PyTorch: then those that are used are the ones here."""
    folder = os.path.dirname(importlib.util.find_spec("torchvision").origin)
    libraries = [name for name in os.listdir(folder) if name.startswith("_C")]
    try:
        torch.ops.load_library(os.path.join(folder, libraries[0]))
    except (IndexError, OSError):
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        torch.library.impl("torchvision::nms", "cpu", suppress)
        import torchvision

        torchvision.ops.boxes._assert_has_ops = lambda: None
        sys.modules["torchvision.ops.roi_align"]._roi_align = roi_align
    import torchvision

    return torchvision


torchvision = load_torchvision()
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import MultiScaleRoIAlign

TOLERANCE = 1e-4


# ---- Backbones ----

CLASSIFIERS = ("fc", "head", "norm")


def backbone(name, checkpoint):
    model = getattr(torchvision.models, name)(weights=None)
    for part in CLASSIFIERS:
        if hasattr(model, part):
            setattr(model, part, torch.nn.Identity())
    model.load_state_dict(checkpoint["model"], strict=True)
    return model.eval()


def maps_of(model, pixels):
    if hasattr(model, "features"):
        x = pixels
        for stage, part in enumerate(model.features):
            x = part(x)
            if stage % 2 == 1:
                yield x.permute(0, 3, 1, 2)
        return
    x = model.maxpool(model.relu(model.bn1(model.conv1(pixels))))
    for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = layer(x)
        yield x


def answer_backbone(name, checkpoint, example):
    model = backbone(name, checkpoint)
    maps = maps_of(model, example["in/pixels"])
    return {f"map.{index}": value for index, value in enumerate(maps)}


# ---- ScaleMAE-Det ----


class Pyramid(torch.nn.Module):
    """Maps of four sizes of one, which stands in place of the picture."""

    def __init__(self, inside, channels, order):
        super().__init__()
        self.out_channels = channels
        self.order = order
        self.conv_1_2 = torch.nn.Conv2d(inside, channels, 1, stride=2)
        self.conv_1 = torch.nn.Conv2d(inside, channels, 1)
        self.deconv_2 = torch.nn.ConvTranspose2d(inside, channels, 2, stride=2)
        self.deconv_4 = torch.nn.ConvTranspose2d(inside, channels, 4, stride=4)

    def forward(self, x):
        return {str(index): getattr(self, name)(x) for index, name in enumerate(self.order)}


COARSE_FIRST = ("conv_1_2", "conv_1", "deconv_2", "deconv_4")


def faster_rcnn(checkpoint, inside):
    weights, args = checkpoint["model"], checkpoint["args"]
    # The vision transformer is not torchvision's, and the pyramid is there twice.
    used = {
        name.removeprefix("rcnn."): value
        for name, value in weights.items()
        if name.startswith("rcnn.") and not name.startswith("rcnn.backbone.backbone.")
    }
    order = COARSE_FIRST if args["parity"] == "upstream" else COARSE_FIRST[::-1]
    channels = weights["fpn_adaptor.conv_1.weight"].shape[0]
    hidden = weights["rcnn.roi_heads.box_head.fc6.weight"].shape[0]
    sizes = tuple(map(tuple, args["anchor_sizes"]))
    detection = torchvision.models.detection.faster_rcnn
    model = FasterRCNN(
        backbone=Pyramid(inside, channels, order),
        rpn_anchor_generator=AnchorGenerator(sizes, (tuple(args["aspect_ratios"]),) * len(sizes)),
        box_roi_pool=MultiScaleRoIAlign(featmap_names=["0", "1", "2", "3"], output_size=7, sampling_ratio=0),
        box_head=detection.TwoMLPHead(channels * 49, hidden),
        box_predictor=detection.FastRCNNPredictor(hidden, args["num_classes"]),
        box_score_thresh=args["box_score_thresh"],
        **{name: args[name] for name in args if name.startswith("rpn_") or name == "box_detections_per_img"},
    )
    model.load_state_dict(used, strict=True)
    return model.eval()


def padded(rows, count):
    return torch.stack([torch.cat([row, row.new_zeros(count - len(row), *row.shape[1:])]) for row in rows])


def answer_detector(checkpoint, example):
    map16 = example["in/map"]
    model = faster_rcnn(checkpoint, map16.shape[1])
    sizes = [tuple(size) for size in example["in/sizes"].tolist()]
    pixels = torch.zeros(len(map16), 3, *(16 * side for side in map16.shape[-2:]))
    features = model.backbone(map16)
    objectness, deltas = concat_box_prediction_layers(*model.rpn.head(list(features.values())))
    proposals, _ = model.rpn(ImageList(pixels, sizes), features)
    given = list(example["out/proposals"])
    cells = model.roi_heads.box_roi_pool(features, given, sizes)
    logits, boxes = model.roi_heads.box_predictor(model.roi_heads.box_head(cells))
    found, _ = model.roi_heads(features, proposals, sizes)
    background = 1 if checkpoint["args"]["parity"] == "fixed" else 0
    count = model.roi_heads.detections_per_img
    return {
        "objectness": objectness,
        "anchor_deltas": deltas,
        "proposals": padded(proposals, given[0].shape[0]),
        "class_logits": logits,
        "box_deltas": boxes,
        "scores": padded([each["scores"] for each in found], count),
        "labels": padded([each["labels"] - background for each in found], count),
        "boxes": padded([each["boxes"] for each in found], count),
    }


def check(folder):
    kind = os.path.basename(folder).removeprefix("tv-")
    checkpoint = torch.load(os.path.join(folder, "weights.pth"), weights_only=True)
    example = safetensors.torch.load_file(os.path.join(folder, "example.safetensors"))
    with torch.no_grad():
        if kind.startswith("fasterrcnn"):
            given = answer_detector(checkpoint, example)
        else:
            given = answer_backbone(kind, checkpoint, example)
    wanted = {name[4:]: value for name, value in example.items() if name.startswith("out/")}
    if not wanted.keys() <= given.keys():
        raise ValueError(f"the example has {sorted(wanted)}, the model gives {sorted(given)}")
    largest, values = 0.0, 0
    for name, value in wanted.items():
        value = value.double()
        gap = (given[name].reshape(value.shape).double() - value).abs() / value.abs().max().clamp(min=1)
        largest = max(largest, torch.nan_to_num(gap, nan=float("inf")).max().item())
        values += value.numel()
    return outcome(folder, TOLERANCE, largest, values, f"torchvision's {kind}: strictly, {values} values")


report(check)
