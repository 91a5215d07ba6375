"""Steps of training in PyTorch behind lines of JSON, as own-training-arm.mjs is our engine: see torch_peers.py.

A step is the regression of the noise: forward, backward, clipping, fused Adam and the average of the weights, in float32 whose
products may be TF32, channels last.

  python3 torch_training.py --mode eager|compiled [--device cuda|cpu]
  python3 torch_training.py --tiny [--device cpu]    a small network in both modes, without requests
"""

from typing import Any

import torch
from torch.nn.functional import mse_loss
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch_peers import Peer, main
from unet import UNet

MODES = ("eager", "compiled")
WARM_UP_STEPS = 4


class TrainingPeer(Peer):
    """A network that learns; `time` gives the milliseconds of its steps."""

    def __init__(self, mode: str, device: str) -> None:
        super().__init__(mode, device)
        torch.set_grad_enabled(True)
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True

    def prepare(self, configuration: dict[str, Any], batch: int) -> dict[str, Any]:
        torch.manual_seed(1)
        network = UNet(configuration).to(self.device).train().to(memory_format=torch.channels_last)
        self.parameters = list(network.parameters())
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.update_average = get_ema_multi_avg_fn(0.999)
        self.optimizer = torch.optim.Adam(self.parameters, 2e-4, fused=True)
        if self.mode == "compiled":
            torch._dynamo.reset()
        self.network = torch.compile(network, dynamic=False) if self.mode == "compiled" else network
        size = configuration["sample_size"]
        self.images = torch.rand(batch, configuration["in_channels"], size, size, device=self.device)
        betas = torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64, device=self.device)
        self.alpha_bars = torch.cumprod(1 - betas, 0).float()
        self.steps = 0
        self.evaluate = self.step
        self.block(WARM_UP_STEPS)
        return {"parameters": sum(parameter.numel() for parameter in self.parameters)}

    def step(self) -> None:
        self.steps += 1
        times = torch.randint(0, 1000, (len(self.images),), device=self.device)
        noise = torch.randn_like(self.images)
        alpha_bars = self.alpha_bars[times][:, None, None, None]
        noised = alpha_bars.sqrt() * self.images + (1 - alpha_bars).sqrt() * noise
        noised = noised.contiguous(memory_format=torch.channels_last)
        mse_loss(self.network(noised, times.float()), noise).backward()
        clip_grad_norm_(self.parameters, 1)
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            self.update_average(self.average, self.parameters, self.steps)


if __name__ == "__main__":
    main(TrainingPeer, MODES)
