"""Another engine behind lines of JSON: requests on stdin, one reply each on stdout.

{"op": "open", "engine": "torch" | "openvino" | "torch-update", ...}  loads; see the classes
{"op": "check", "x": FILE, "t": FILE, "shape": [...], "out": FILE}    one evaluation of float32 files
{"op": "time", "calls": N}                                            repeats it; {"milliseconds": [...]}, the first
                                                                      call, which does not count, left out
"""

import json
import sys
import time

import numpy


class Torch:
    """diffusers' UNet2DModel: `model` is its folder, `mode` eager, channels_last or compiled (with channels_last)."""

    def __init__(self, request):
        import torch
        from diffusers import UNet2DModel

        torch.set_num_threads(request["threads"])
        torch.set_grad_enabled(False)
        self.torch = torch
        self.dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[request["dtype"]]
        self.channels_last = request["mode"] != "eager"
        model = UNet2DModel.from_pretrained(request["model"], torch_dtype=self.dtype).eval()
        if self.channels_last:
            model = model.to(memory_format=torch.channels_last)
        self.model = torch.compile(model, dynamic=False) if request["mode"] == "compiled" else model
        self.version = f"torch {torch.__version__}"

    def prepare(self, x, t):
        self.x = self.torch.from_numpy(x).to(self.dtype)
        if self.channels_last:
            self.x = self.x.contiguous(memory_format=self.torch.channels_last)
        self.t = self.torch.from_numpy(t)

    def run(self):
        return self.model(self.x, self.t, return_dict=False)[0]

    def output(self):
        return self.run().float().contiguous().numpy()


class OpenVino:
    """An ONNX file, for one batch size; float32 is forced, or bfloat16 asked for."""

    def __init__(self, request):
        import openvino

        self.core = openvino.Core()
        self.options = {
            "INFERENCE_PRECISION_HINT": request["dtype"],
            "INFERENCE_NUM_THREADS": request["threads"],
            "NUM_STREAMS": 1,
        }
        self.path = request["onnx"]
        self.version = f"openvino {openvino.__version__.split('-')[0]}"

    def prepare(self, x, t):
        model = self.core.read_model(self.path)
        model.reshape({"x": list(x.shape), "t": list(t.shape)})
        self.request = self.core.compile_model(model, "CPU", self.options).create_infer_request()
        self.inputs = {"x": x, "t": t}

    def run(self):
        return self.request.infer(self.inputs)

    def output(self):
        return self.run()["epsilon"]


class TorchUpdate:
    """The tensor operations of diffusers' DDPMScheduler.step (epsilon, clipped, fixed variance)."""

    def __init__(self, request):
        import torch

        torch.set_num_threads(request["threads"])
        torch.set_grad_enabled(False)
        self.torch = torch
        names = ("beta_root", "alpha_root", "data", "state", "deviation")
        self.coefficients = [torch.tensor(request["coefficients"][name]) for name in names]
        self.version = f"torch {torch.__version__}"

    def prepare(self, x, t):
        self.x = self.torch.from_numpy(x)
        self.epsilon = self.torch.from_numpy(t.reshape(x.shape))

    def mean(self):
        beta_root, alpha_root, data, state, _ = self.coefficients
        x0 = ((self.x - beta_root * self.epsilon) / alpha_root).clamp(-1, 1)
        return data * x0 + state * self.x

    def run(self):
        return self.mean() + self.coefficients[4] * self.torch.randn(self.x.shape)

    def output(self):
        return self.mean().numpy()


ENGINES = {"torch": Torch, "openvino": OpenVino, "torch-update": TorchUpdate}


def serve():
    engine = None
    for line in sys.stdin:
        request = json.loads(line)
        reply = {}
        if request["op"] == "open":
            engine = ENGINES[request["engine"]](request)
            reply["version"] = engine.version
        elif request["op"] == "check":
            x = numpy.fromfile(request["x"], numpy.float32).reshape(request["shape"])
            engine.prepare(x, numpy.fromfile(request["t"], numpy.float32))
            engine.output().astype(numpy.float32).tofile(request["out"])
        elif request["op"] == "time":
            engine.run()
            times = []
            for _ in range(request["calls"]):
                start = time.perf_counter()
                engine.run()
                times.append(1e3 * (time.perf_counter() - start))
            reply["milliseconds"] = times
        print(json.dumps(reply), flush=True)


serve()
