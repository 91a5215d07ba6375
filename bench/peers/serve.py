"""Another engine behind lines of JSON: requests on stdin, one reply each on stdout.

{"op": "open", "engine": "torch" | "openvino" | ..., ...}             loads; see ENGINES and the classes
{"op": "check", "x": FILE, "t": FILE, "shape": [...], "out": FILE}    one evaluation of float32 files; of derivatives
                                                                      also "work" and "vector", shaped as x or
                                                                      as "vectorShape" says
{"op": "time", "calls": N}                                            repeats it; {"milliseconds": [...]}, the first
                                                                      call, which does not count, left out; of
                                                                      derivatives also "work"
{"op": "learn", "steps": N}                                           of training: takes steps; {"losses": [...],
                                                                      "norms": [...]}
{"op": "distance"}                                                    of training: {"distance": ...}, that of the
                                                                      average from the weights

What fails is answered with {"error": ...}.
"""

import json
import pathlib
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


class TorchRun(Torch):
    """A whole run: as many `steps` of the scheduler in the folder `scheduler` as diffusers' pipelines take them."""

    def __init__(self, request):
        import diffusers

        super().__init__(request)
        self.scheduler = diffusers.DDIMScheduler.from_pretrained(request["scheduler"])
        self.steps = request["steps"]
        self.version += f", diffusers {diffusers.__version__}"

    def run(self):
        self.scheduler.set_timesteps(self.steps)
        x = self.x
        for t in self.scheduler.timesteps:
            epsilon = self.model(x, t, return_dict=False)[0]
            x = self.scheduler.step(epsilon, t, x, return_dict=False)[0]
        return x


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


def torch_derivatives(request):
    from derivatives import Derivatives

    return Derivatives(request)


def torch_guided(request):
    from derivatives import GuidedSteps

    return GuidedSteps(request)


def torch_training(request):
    from training import Training

    return Training(request)


def text_to_image(name):
    def engine(request):
        sys.path.insert(0, str(pathlib.Path(__file__).parent / "text-to-image"))
        import engines

        return getattr(engines, name)(request)

    return engine


ENGINES = {
    "torch": Torch,
    "torch-run": TorchRun,
    "openvino": OpenVino,
    "torch-update": TorchUpdate,
    "torch-derivatives": torch_derivatives,
    "torch-guided": torch_guided,
    "torch-training": torch_training,
    "text-to-image-torch": text_to_image("Torch"),
    "text-to-image-openvino": text_to_image("OpenVino"),
}


def floats(file):
    return numpy.fromfile(file, numpy.float32)


def check(engine, request):
    x = floats(request["x"]).reshape(request["shape"])
    shape = request.get("vectorShape", x.shape)
    vectors = [floats(request["vector"]).reshape(shape)] if "vector" in request else []
    engine.prepare(x, floats(request["t"]), *vectors)
    engine.output().astype(numpy.float32).tofile(request["out"])


def milliseconds(engine, calls):
    engine.run()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        engine.run()
        times.append(1e3 * (time.perf_counter() - start))
    return times


class Server:
    """One engine and what it is asked."""

    def answer(self, request):
        if request["op"] == "open":
            self.engine = ENGINES[request["engine"]](request)
            return {"version": self.engine.version}
        if request["op"] == "learn":
            return self.engine.learn(request["steps"])
        if request["op"] == "distance":
            return self.engine.distance()
        if "work" in request:
            self.engine.choose(request["work"])
        if request["op"] == "check":
            check(self.engine, request)
            return {}
        return {"milliseconds": milliseconds(self.engine, request["calls"])}


def serve():
    server = Server()
    for line in sys.stdin:
        try:
            reply = server.answer(json.loads(line))
        except Exception as error:  # whatever it is, the other side has to hear of it
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


serve()
