"""guided-diffusion's classifier (EncoderUNetModel; Dhariwal & Nichol 2021) in plain PyTorch, with its names of weights.

Of its configurations those that were published: residual blocks that resample, scale and shift, pool attention.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as functional
from safetensors.torch import load_file
from torch import nn

GROUPS = 32


def tokens_of(x):
    """[N, C, H, W] as [N, H W, C], free of copies where the channels come last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def project(convolution, tokens):
    """A convolution of length 1 along tokens, [N, L, C]."""
    return functional.linear(tokens, convolution.weight[:, :, 0], convolution.bias)


def attend(queries, keys, values):
    """Attention of [N, L, heads, width] each, as [N, L, channels]."""
    parts = (part.transpose(1, 2) for part in (queries, keys, values))
    return functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)


class Residual(nn.Module):
    def __init__(self, inputs, outputs, embedding, halves=False):
        super().__init__()
        self.halves = halves
        self.in_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * outputs))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, outputs), nn.SiLU(), nn.Identity(), nn.Conv2d(outputs, outputs, 3, padding=1)
        )
        self.skip_connection = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, embedding):
        norm, activation, convolution = self.in_layers
        h = activation(norm(x))
        if self.halves:
            h, x = functional.avg_pool2d(h, 2), functional.avg_pool2d(x, 2)
        h = convolution(h)
        scale, shift = self.emb_layers(embedding)[:, :, None, None].chunk(2, dim=1)
        norm, *rest = self.out_layers
        h = norm(h) * (1 + scale) + shift
        for layer in rest:
            h = layer(h)
        return self.skip_connection(x) + h


class Attention(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x, _embedding):
        # A head's queries, keys and values lie side by side.
        qkv = project(self.qkv, tokens_of(self.norm(x))).unflatten(2, (self.heads, 3, -1))
        h = project(self.proj_out, attend(*qkv.unbind(3)))
        return x + h.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)


class AttentionPool(nn.Module):
    """The logits: what attention tells the mean of all pixels, which comes before them."""

    def __init__(self, side, channels, heads, outputs):
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.empty(channels, side**2 + 1))
        self.qkv_proj = nn.Conv1d(channels, 3 * channels, 1)
        self.c_proj = nn.Conv1d(channels, outputs, 1)

    def forward(self, x):
        pixels = tokens_of(x)
        tokens = torch.cat([pixels.mean(dim=1, keepdim=True), pixels], dim=1) + self.positional_embedding.T
        # All queries come first, unlike those of the other attention.
        qkv = project(self.qkv_proj, tokens).unflatten(2, (3, self.heads, -1))
        return project(self.c_proj, attend(*qkv.unbind(2)))[:, 0]


class Convolution(nn.Conv2d):
    """The first layer, which takes no embedding."""

    def forward(self, x, _embedding):
        return super().forward(x)


class Classifier(nn.Module):
    def __init__(self, configuration):
        super().__init__()
        if not configuration["use_scale_shift_norm"] or not configuration["resblock_updown"]:
            raise ValueError("only classifiers with scale and shift whose residual blocks resample")
        if configuration["pool"] != "attention":
            raise ValueError("only pool attention")
        width, head_width = configuration["model_channels"], configuration["num_head_channels"]
        multipliers = configuration["channel_mult"]
        embedding = 4 * width
        self.width = width
        self.time_embed = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        channels, factor = int(multipliers[0] * width), 1
        first = Convolution(configuration["in_channels"], channels, 3, padding=1)
        self.input_blocks = nn.ModuleList([nn.ModuleList([first])])
        for level, multiplier in enumerate(multipliers):
            for _ in range(configuration["num_res_blocks"]):
                outputs = int(multiplier * width)
                block = nn.ModuleList([Residual(channels, outputs, embedding)])
                channels = outputs
                if factor in configuration["attention_resolutions"]:
                    block.append(Attention(channels, channels // head_width))
                self.input_blocks.append(block)
            if level < len(multipliers) - 1:
                self.input_blocks.append(nn.ModuleList([Residual(channels, channels, embedding, halves=True)]))
                factor *= 2
        self.middle_block = nn.ModuleList(
            [
                Residual(channels, channels, embedding),
                Attention(channels, channels // head_width),
                Residual(channels, channels, embedding),
            ]
        )
        side, outputs = configuration["image_size"] // factor, configuration["out_channels"]
        pool = AttentionPool(side, channels, channels // head_width, outputs)
        self.out = nn.Sequential(nn.GroupNorm(GROUPS, channels), nn.SiLU(), pool)

    @classmethod
    def from_folder(cls, folder):
        """Of `config.json` and `model.safetensors`, as dpm-native has them."""
        model = cls(json.loads(Path(folder, "config.json").read_text()))
        model.load_state_dict(load_file(Path(folder, "model.safetensors")))
        return model.eval()

    def forward(self, x, time):
        half = self.width // 2
        angles = time[:, None] * torch.exp(-math.log(10000.0) / half * torch.arange(half))
        embedding = self.time_embed(torch.cat([angles.cos(), angles.sin()], dim=1))
        for block in [*self.input_blocks, self.middle_block]:
            for layer in block:
                x = layer(x, embedding)
        return self.out(x)
