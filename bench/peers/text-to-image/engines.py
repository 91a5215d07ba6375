"""Networks of a text-to-image pipeline's folder in PyTorch and OpenVINO, for serve.py.

`part` unet: a guided step's evaluation of two states with two contexts (the vector, [2, 77, width]); decoder: an image of
latents.
"""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


class Decoder(torch.nn.Module):
    def __init__(self, vae):
        super().__init__()
        self.vae = vae

    def forward(self, x):
        return self.vae.decode(x, return_dict=False)[0]


class UNet(torch.nn.Module):
    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, x, t, context):
        return self.unet(x, t, context, return_dict=False)[0]


def load(request):
    torch.set_num_threads(request["threads"])
    torch.set_grad_enabled(False)
    dtype = DTYPES[request["dtype"]]
    if request["part"] == "decoder":
        return Decoder(AutoencoderKL.from_pretrained(request["model"], subfolder="vae", torch_dtype=dtype).eval())
    return UNet(UNet2DConditionModel.from_pretrained(request["model"], subfolder="unet", torch_dtype=dtype).eval())


class Torch:
    """`mode` eager or channels_last."""

    def __init__(self, request):
        self.part, self.dtype = request["part"], DTYPES[request["dtype"]]
        self.format = torch.channels_last if request["mode"] == "channels_last" else torch.contiguous_format
        self.network = load(request).to(memory_format=self.format)
        self.version = f"torch {torch.__version__}"

    def prepare(self, x, t, *context):
        states = torch.from_numpy(x).to(self.dtype).contiguous(memory_format=self.format)
        tensors = [torch.from_numpy(each).to(self.dtype) for each in context]
        self.inputs = [states] if self.part == "decoder" else [states, torch.from_numpy(t), *tensors]

    def run(self):
        return self.network(*self.inputs)

    def output(self):
        return self.run().float().contiguous().numpy()


class OpenVino:
    """The network as OpenVINO converts it from PyTorch, for the shapes of the inputs."""

    def __init__(self, request):
        import openvino

        self.openvino, self.request = openvino, request
        self.part = request["part"]
        self.version = f"openvino {openvino.__version__.split('-')[0]}"

    def prepare(self, x, t, *context):
        inputs = [x] if self.part == "decoder" else [x, t, *context]
        network = load({**self.request, "dtype": "f32"})
        examples = tuple(torch.from_numpy(each) for each in inputs)
        model = self.openvino.convert_model(network, example_input=examples, input=[list(each.shape) for each in inputs])
        del network
        self.compiled = self.openvino.Core().compile_model(model, "CPU", {
            "INFERENCE_PRECISION_HINT": self.request["dtype"],
            "INFERENCE_NUM_THREADS": self.request["threads"],
            "NUM_STREAMS": 1,
        }).create_infer_request()
        self.inputs = inputs

    def run(self):
        return self.compiled.infer(self.inputs)

    def output(self):
        return next(iter(self.run().values()))
