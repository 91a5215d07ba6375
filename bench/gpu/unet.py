"""The U-Net of diffusers' UNet2DModel in plain PyTorch: from its configuration, with its names of weights."""

import math
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, embedding: int, groups: int, epsilon: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, epsilon)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = nn.Linear(embedding, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs, epsilon)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(functional.silu(self.norm1(x)))
        h = h + self.time_emb_proj(functional.silu(embedding))[:, :, None, None]
        h = self.conv2(functional.silu(self.norm2(h)))
        return self.conv_shortcut(x) + h


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int, groups: int, epsilon: float) -> None:
        super().__init__()
        self.heads = heads
        self.group_norm = nn.GroupNorm(groups, channels, epsilon)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        # Free of copies where the channels come last.
        tokens = self.group_norm(x).permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        q, k, v = (
            project(tokens).view(batch, height * width, self.heads, channels // self.heads).transpose(1, 2)
            for project in (self.to_q, self.to_k, self.to_v)
        )
        attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(tokens.shape)
        return x + self.to_out[0](attended).view(batch, height, width, channels).permute(0, 3, 1, 2)


class Downsample(nn.Module):
    def __init__(self, channels: int, padding: int) -> None:
        super().__init__()
        self.padding = padding
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x if self.padding else functional.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """Blocks of one size of maps, downwards, in the middle or upwards."""

    def __init__(self, resnets: list[nn.Module], attentions: list[nn.Module]) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        if attentions:
            self.attentions = nn.ModuleList(attentions)

    def attend(self, index: int, x: Tensor) -> Tensor:
        return self.attentions[index](x) if hasattr(self, "attentions") else x


class TimeEmbedding(nn.Module):
    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(channels, embedding)
        self.linear_2 = nn.Linear(embedding, embedding)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(functional.silu(self.linear_1(x)))


class UNet(nn.Module):
    def __init__(self, configuration: dict[str, Any]) -> None:
        super().__init__()
        widths = configuration["block_out_channels"]
        layers = configuration["layers_per_block"]
        groups, epsilon = configuration["norm_num_groups"], configuration["norm_eps"]
        padding = configuration["downsample_padding"]
        head_width = configuration["attention_head_dim"]
        first, embedding = widths[0], 4 * widths[0]

        def residual(inputs: int, outputs: int) -> Residual:
            return Residual(inputs, outputs, embedding, groups, epsilon)

        def attention(channels: int) -> Attention:
            return Attention(channels, channels // head_width if head_width else 1, groups, epsilon)

        def attentions(kind: str, channels: int, count: int) -> list[nn.Module]:
            return [attention(channels) for _ in range(count)] if kind.startswith("Attn") else []

        self.shift = configuration["freq_shift"]
        self.half = first // 2
        self.time_embedding = TimeEmbedding(first, embedding)
        self.conv_in = nn.Conv2d(configuration["in_channels"], first, 3, padding=1)
        channels, skips = first, [first]
        self.down_blocks = nn.ModuleList()
        for index, (width, kind) in enumerate(zip(widths, configuration["down_block_types"], strict=True)):
            resnets: list[nn.Module] = [residual(channels if i == 0 else width, width) for i in range(layers)]
            level = Level(resnets, attentions(kind, width, layers))
            channels = width
            skips += [channels] * layers
            if index < len(widths) - 1:
                level.downsamplers = nn.ModuleList([Downsample(channels, padding)])
                skips.append(channels)
            self.down_blocks.append(level)
        self.mid_block = Level([residual(channels, channels) for _ in range(2)], [attention(channels)])
        self.up_blocks = nn.ModuleList()
        for index, (width, kind) in enumerate(zip(reversed(widths), configuration["up_block_types"], strict=True)):
            resnets = []
            for _ in range(layers + 1):
                resnets.append(residual(channels + skips.pop(), width))
                channels = width
            level = Level(resnets, attentions(kind, width, layers + 1))
            if index < len(widths) - 1:
                level.upsamplers = nn.ModuleList([Upsample(channels)])
            self.up_blocks.append(level)
        self.conv_norm_out = nn.GroupNorm(groups, channels, epsilon)
        self.conv_out = nn.Conv2d(channels, configuration["out_channels"], 3, padding=1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        steps = torch.arange(self.half, device=x.device, dtype=torch.float32)
        angles = time[:, None] * torch.exp(-math.log(10000.0) / (self.half - self.shift) * steps)[None]
        embedding = self.time_embedding(torch.cat([angles.sin(), angles.cos()], dim=1).to(x.dtype))
        h = self.conv_in(x)
        skips = [h]
        for level in self.down_blocks:
            for index, resnet in enumerate(level.resnets):
                h = level.attend(index, resnet(h, embedding))
                skips.append(h)
            if hasattr(level, "downsamplers"):
                h = level.downsamplers[0](h)
                skips.append(h)
        h = self.mid_block.attend(0, self.mid_block.resnets[0](h, embedding))
        h = self.mid_block.resnets[1](h, embedding)
        for level in self.up_blocks:
            for index, resnet in enumerate(level.resnets):
                h = level.attend(index, resnet(torch.cat([h, skips.pop()], dim=1), embedding))
            if hasattr(level, "upsamplers"):
                h = level.upsamplers[0](h)
        return self.conv_out(functional.silu(self.conv_norm_out(h)))
