"""Derivatives of networks and steps that a classifier guides, in PyTorch: float32, channels last, eager or compiled."""

import torch
from classifier import Classifier
from diffusers import UNet2DModel
from torch.nn.attention import SDPBackend, sdpa_kernel


def frozen(model):
    """A model as whoever wants derivatives by the image alone has it."""
    return model.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def channels_last(x):
    return torch.from_numpy(x).contiguous(memory_format=torch.channels_last)


def compiled(model):
    return torch.compile(model, dynamic=False)


class Derivatives:
    """A U-Net `model`. Its work is forward, or with an evaluation vjp (J^T v) or jvp (J v, which is eager in every mode)."""

    def __init__(self, request):
        torch.set_num_threads(request["threads"])
        torch.set_grad_enabled(False)
        self.model = frozen(UNet2DModel.from_pretrained(request["model"]))
        self.network = compiled(self.model) if request["mode"] == "compiled" else self.model
        self.version = f"torch {torch.__version__}"

    def choose(self, work):
        self.run = {"forward": self.forward, "vjp": self.vjp, "jvp": self.jvp}[work]

    def prepare(self, x, t, vector):
        self.x, self.t, self.vector = channels_last(x), torch.from_numpy(t), channels_last(vector)

    def forward(self):
        return self.network(self.x, self.t, return_dict=False)[0]

    @torch.enable_grad()
    def vjp(self):
        x = self.x.detach().requires_grad_()
        out = self.network(x, self.t, return_dict=False)[0]
        return torch.autograd.grad(out, x, self.vector)[0]

    def jvp(self):
        # Fused attention has no forward mode, and torch.compile takes no torch.func.jvp.
        with sdpa_kernel(SDPBackend.MATH):
            return torch.func.jvp(lambda x: self.model(x, self.t, return_dict=False)[0], (self.x,), (self.vector,))[1]

    def output(self):
        return self.run().contiguous().numpy()


class GuidedSteps:
    """Steps of DDIM whose score a `classifier` guides (Dhariwal & Nichol 2021, algorithm 2).

    In the order of guided-diffusion: what is clipped is the network's prediction, and the noise follows from it.
    `steps` are the network's times, each with the alpha bar there and that of the next state; `scale` is the gradient's.
    """

    def __init__(self, request):
        torch.set_num_threads(request["threads"])
        torch.set_grad_enabled(False)
        self.network = frozen(UNet2DModel.from_pretrained(request["model"]))
        self.classifier = frozen(Classifier.from_folder(request["classifier"]))
        if request["mode"] == "compiled":
            self.network, self.classifier = compiled(self.network), compiled(self.classifier)
        self.steps, self.scale = request["steps"], request["scale"]
        self.version = f"torch {torch.__version__}"

    def prepare(self, x, labels):
        self.x, self.labels = channels_last(x), torch.from_numpy(labels).long()

    @torch.enable_grad()
    def gradient(self, x, t):
        """Of ln p(label | x, t) by x."""
        x = x.detach().requires_grad_()
        logarithms = self.classifier(x, t).log_softmax(dim=1)
        return torch.autograd.grad(logarithms.gather(1, self.labels[:, None]).sum(), x)[0]

    def run(self):
        x = self.x
        for time, alpha_bar, next_alpha_bar in self.steps:
            t = torch.full((len(x),), float(time))
            alpha, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
            data = ((x - sigma * self.network(x, t, return_dict=False)[0]) / alpha).clamp(-1, 1)
            epsilon = (x - alpha * data) / sigma - sigma * self.scale * self.gradient(x, t)
            x = next_alpha_bar**0.5 * (x - sigma * epsilon) / alpha + (1 - next_alpha_bar) ** 0.5 * epsilon
        return x

    def output(self):
        return self.run().contiguous().numpy()
