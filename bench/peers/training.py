"""Steps of training in PyTorch: float32, eager or compiled (with channels last)."""

import numpy
import torch
from derivatives import compiled
from diffusers import UNet2DModel
from torch.nn.functional import mse_loss
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Training:
    """A U-Net `model` that learns to predict noise, by Adam with an average of its weights.

    `samples` are files of `images` and `noise` (float32) and of `levels` (uint32, from 1 on), of the shape
    [batches, batch, channels, height, width]; steps take one batch after the other, again and again. `signal`, `noise` and `times` of
    `schedule` have an entry for each level, `settings` those numbers that Adam has.
    """

    def __init__(self, request):
        torch.set_num_threads(request["threads"])
        memory_format = torch.contiguous_format if request["mode"] == "eager" else torch.channels_last
        model = UNet2DModel.from_pretrained(request["model"]).train().to(memory_format=memory_format)
        self.network = compiled(model) if request["mode"] == "compiled" else model
        self.parameters = list(model.parameters())
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        settings = request["settings"]
        self.clip = settings["clip"]
        self.update_average = get_ema_multi_avg_fn(settings["averageDecay"])
        betas = (settings["beta1"], settings["beta2"])
        # The fastest of Adam's implementations for a cpu, and not the one that it takes by itself.
        self.optimizer = torch.optim.Adam(
            self.parameters, settings["rate"], betas, settings["epsilon"], weight_decay=0, fused=True
        )
        self.batches = self.read(request["samples"], request["schedule"], memory_format)
        self.step = 0
        self.version = f"torch {torch.__version__}"

    @staticmethod
    def read(samples, schedule, memory_format):
        shape = samples["shape"]
        images, noise = (
            torch.from_numpy(numpy.fromfile(samples[name], numpy.float32).reshape(shape)) for name in ("images", "noise")
        )
        levels = torch.from_numpy(numpy.fromfile(samples["levels"], numpy.uint32).astype(int).reshape(shape[:2]))

        def of_levels(values):
            return torch.tensor(values, dtype=torch.float64)[levels - 1]

        roots = [of_levels(schedule[name]).sqrt().float()[:, :, None, None, None] for name in ("signal", "noise")]
        tensors = (images, noise, *roots, of_levels(schedule["times"]).float())
        return [
            [each.contiguous(memory_format=memory_format) if each.dim() == 4 else each for each in batch]
            for batch in zip(*tensors)
        ]

    def run(self):
        images, noise, signal_roots, noise_roots, times = self.batches[self.step % len(self.batches)]
        self.step += 1
        noised = signal_roots * images + noise_roots * noise
        loss = mse_loss(self.network(noised, times, return_dict=False)[0], noise)
        loss.backward()
        norm = clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.update_average(self.average, self.parameters, self.step)
        return loss.item(), norm.item()

    def learn(self, steps):
        losses, norms = zip(*(self.run() for _ in range(steps)))
        return {"losses": losses, "norms": norms}

    @torch.no_grad()
    def distance(self):
        """Of the average from the weights, in L2."""
        squares = (torch.sum((own - average).double() ** 2) for own, average in zip(self.parameters, self.average))
        return {"distance": sum(squares).sqrt().item()}
