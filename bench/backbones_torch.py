# SPDX-License-Identifier: Apache-2.0
"""Backbones on PyTorch for the benchmark of models: CoaT-Lite (Xu et al. 2021) and MPViT (Lee et al. 2022), written after
the papers on the weights' published names. Maps are given as
[batch, height, width, channels], which costs PyTorch nothing: they are views.
"""

import os

import safetensors.torch
import torch
import torch.nn.functional as F

HEADS = 8
WINDOWS = (3, 5, 7)


class Weights(torch.nn.Module):
    """Tensors by name."""

    def __init__(self, folder):
        super().__init__()
        self.tensors = safetensors.torch.load_file(os.path.join(folder, "model.safetensors"))

    def __getitem__(self, name):
        return self.tensors[name]

    def get(self, name):
        return self.tensors.get(name)

    def linear(self, name, x):
        return F.linear(x, self[f"{name}.weight"], self[f"{name}.bias"])

    def norm(self, name, x, eps=1e-6):
        return F.layer_norm(x, x.shape[-1:], self[f"{name}.weight"], self[f"{name}.bias"], eps)

    def batch_norm(self, name, x):
        mean, variance = self[f"{name}.running_mean"], self[f"{name}.running_var"]
        return F.batch_norm(x, mean, variance, self[f"{name}.weight"], self[f"{name}.bias"])

    def depthwise(self, name, x, stride=1):
        kernel = self[f"{name}.weight"]
        padding = (kernel.shape[-1] - 1) // 2
        return F.conv2d(x, kernel, self.get(f"{name}.bias"), stride, padding, groups=x.shape[1])

    def convolution(self, name, x, stride=1, activation=True):
        kernel = self[f"{name}.conv.weight"]
        y = self.batch_norm(f"{name}.bn", F.conv2d(x, kernel, None, stride, (kernel.shape[-1] - 1) // 2))
        return F.hardswish(y) if activation else y


def attention(w, name, x, size, extra):
    """Factorised attention with the relative encoding, which leaves class tokens alone."""
    batch, count, channels = x.shape
    height, width = size
    q, k, v = w.linear(f"{name}.qkv", x).reshape(batch, count, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    mixed = q @ (k.softmax(dim=2).transpose(-1, -2) @ v)
    image = v[:, :, extra:].transpose(-1, -2).reshape(batch, channels, height, width)
    widths = [w[f"{name}.crpe.conv_list.{i}.weight"].shape[0] for i in range(len(WINDOWS))]
    parts = [w.depthwise(f"{name}.crpe.conv_list.{i}", part) for i, part in enumerate(image.split(widths, 1))]
    encoded = torch.cat(parts, 1).reshape(batch, HEADS, -1, height * width).transpose(-1, -2)
    relative = F.pad(q[:, :, extra:] * encoded, (0, 0, extra, 0))
    out = (channels // HEADS) ** -0.5 * mixed + relative
    return w.linear(f"{name}.proj", out.transpose(1, 2).reshape(batch, count, channels))


def block(w, name, x, size, extra):
    """Position encoding, attention and an MLP."""
    tokens = x[:, extra:]
    image = tokens.transpose(1, 2).reshape(x.shape[0], x.shape[2], *size)
    placed = (image + w.depthwise(f"{name}.cpe.proj", image)).flatten(2).transpose(1, 2)
    x = torch.cat([x[:, :extra], placed], 1) if extra else placed
    x = x + attention(w, f"{name}.factoratt_crpe", w.norm(f"{name}.norm1", x), size, extra)
    inner = F.gelu(w.linear(f"{name}.mlp.fc1", w.norm(f"{name}.norm2", x)))
    return x + w.linear(f"{name}.mlp.fc2", inner)


def to_maps(levels):
    return {f"level{i}": level.permute(0, 2, 3, 1) for i, level in enumerate(levels)}


def coat_lite(folder, config):
    """CoaT-Lite: the maps of stages 2 to 4."""
    w = Weights(folder)

    def forward(inputs):
        x = inputs["pixels"]
        levels = []
        for stage, depth in enumerate(config["serial_depths"], 1):
            patch = 4 if stage == 1 else 2
            embed = f"patch_embed{stage}"
            x = F.conv2d(x, w[f"{embed}.proj.weight"], w[f"{embed}.proj.bias"], patch)
            batch, channels, *size = x.shape
            tokens = w.norm(f"{embed}.norm", x.flatten(2).transpose(1, 2), 1e-5)
            tokens = torch.cat([w[f"cls_token{stage}"].expand(batch, -1, -1), tokens], 1)
            for i in range(depth):
                tokens = block(w, f"serial_blocks{stage}.{i}", tokens, size, 1)
            x = tokens[:, 1:].transpose(1, 2).reshape(batch, channels, *size)
            levels.append(x)
        return to_maps(levels[1:])

    return w, forward


def local_branch(w, name, x):
    y = w.depthwise(f"{name}.dwconv", w.convolution(f"{name}.conv1", x))
    y = F.hardswish(w.batch_norm(f"{name}.norm", y))
    return x + w.convolution(f"{name}.conv2", y, activation=False)


def mpvit(folder, config):
    """MPViT: the maps of stages 2 to 4."""
    w = Weights(folder)

    def embed(name, x, stride):
        y = F.conv2d(w.depthwise(f"{name}.dwconv", x, stride), w[f"{name}.pwconv.weight"])
        return F.hardswish(w.batch_norm(f"{name}.bn", y))

    def path(name, x, depth):
        tokens = x.flatten(2).transpose(1, 2)
        for i in range(depth):
            tokens = block(w, f"{name}.MHCA_layers.{i}", tokens, x.shape[2:], 0)
        return tokens.transpose(1, 2).reshape(x.shape)

    def forward(inputs):
        x = w.convolution("stem.1", w.convolution("stem.0", inputs["pixels"], 2), 2)
        levels = []
        for stage, (paths, depth) in enumerate(zip(config["num_path"], config["num_layers"])):
            starts = []
            for i in range(paths):
                stride = 2 if stage > 0 and i == 0 else 1
                x = embed(f"patch_embed_stages.{stage}.patch_embeds.{i}.patch_conv", x, stride)
                starts.append(x)
            name = f"mhca_stages.{stage}"
            maps = [path(f"{name}.mhca_blks.{i}", start, depth) for i, start in enumerate(starts)]
            joined = torch.cat([local_branch(w, f"{name}.InvRes", starts[0]), *maps], 1)
            x = w.convolution(f"{name}.aggregate", joined)
            levels.append(x)
        return to_maps(levels[1:])

    return w, forward


KINDS = {"coat-lite": coat_lite, "mpvit": mpvit}
