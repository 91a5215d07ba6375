"""PyTorch behind lines of JSON, as own-arm.mjs is our engine: requests on stdin, one reply each on stdout.

{"op": "open"}                                                         {"version": ...}
{"op": "prepare", "network": ..., "configuration": {...}, "batch": N}  {"parameters": N}
{"op": "time", "milliseconds": N}                                      {"milliseconds": [...]}, of blocks of evaluations

What fails is answered with {"error": ...}. Weights are random: only the time counts.

  python3 torch_peers.py --mode eager|graph|reduce-overhead|max-autotune [--device cuda|cpu]
  python3 torch_peers.py --tiny [--device cpu]    a small network in all modes, without requests
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

# Nothing is fetched, and nothing is asked of the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402
from unet import UNet  # noqa: E402

BLOCK_MILLISECONDS = 20
MOST_CALLS = 200
WARM_UP_CALLS = 4

TINY: dict[str, Any] = {
    "sample_size": 16,
    "in_channels": 1,
    "out_channels": 1,
    "freq_shift": 1,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [16, 32],
    "layers_per_block": 1,
    "downsample_padding": 0,
    "attention_head_dim": None,
    "norm_num_groups": 8,
    "norm_eps": 1e-6,
}


# The last two are PyTorch's own names; both launch CUDA graphs.
COMPILED = ("reduce-overhead", "max-autotune")
MODES = ("eager", "graph", *COMPILED)


class Peer:
    """A network in bfloat16, channels last: eager, in a CUDA graph, or compiled for every batch size by itself."""

    def __init__(self, mode: str, device: str) -> None:
        self.mode = mode
        self.device = torch.device(device)
        self.configuration: dict[str, Any] | None = None
        torch.set_grad_enabled(False)
        torch.backends.cudnn.benchmark = True

    def open(self) -> dict[str, Any]:
        version = f"PyTorch {torch.__version__}"
        if self.device.type == "cuda":
            version += f", CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
            version += f", {torch.cuda.get_device_name(self.device)}"
        return {"version": version}

    def prepare(self, configuration: dict[str, Any], batch: int) -> dict[str, Any]:
        if configuration != self.configuration:
            torch.manual_seed(1)
            network = UNet(configuration).to(self.device, torch.bfloat16).eval()
            self.network = network.to(memory_format=torch.channels_last)
            self.configuration = configuration
        size = configuration["sample_size"]
        x = torch.randn(batch, configuration["in_channels"], size, size, device=self.device, dtype=torch.bfloat16)
        self.x = x.contiguous(memory_format=torch.channels_last)
        self.t = torch.full((batch,), 500.0, device=self.device)
        self.evaluate = self.evaluation()
        for _ in range(WARM_UP_CALLS):
            self.block(1)
        return {"parameters": sum(parameter.numel() for parameter in self.network.parameters())}

    def evaluation(self) -> Callable[[], object]:
        if self.mode == "graph":
            return self.captured()
        model = self.network
        if self.mode in COMPILED:
            torch._dynamo.reset()
            model = torch.compile(self.network, mode=self.mode, dynamic=False)
        return lambda: model(self.x, self.t)

    def captured(self) -> Callable[[], object]:
        # Libraries choose and allocate before the capture, on another stream, as PyTorch's notes on graphs ask for.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_CALLS):
                self.network(self.x, self.t)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.out = self.network(self.x, self.t)
        return graph.replay

    def block(self, calls: int) -> float:
        """Milliseconds of an evaluation among `calls` of them back to back."""
        start = time.perf_counter()
        for _ in range(calls):
            self.evaluate()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return 1e3 * (time.perf_counter() - start) / calls

    def time(self, milliseconds: float) -> dict[str, Any]:
        calls = min(MOST_CALLS, int(BLOCK_MILLISECONDS / self.block(1)) + 1)
        times: list[float] = []
        end = time.perf_counter() + milliseconds / 1e3
        while not times or time.perf_counter() < end:
            times.append(self.block(calls))
        return {"milliseconds": times}


def answer(peer: Peer, request: dict[str, Any]) -> dict[str, Any]:
    if request["op"] == "open":
        return peer.open()
    if request["op"] == "prepare":
        return peer.prepare(request["configuration"], request["batch"])
    if request["op"] == "time":
        return peer.time(request["milliseconds"])
    return {"error": f"no operation {request['op']}"}


def serve(peer: Peer) -> None:
    # What libraries print goes elsewhere.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            reply = answer(peer, json.loads(line))
        except Exception as error:  # whatever it is, the other side has to hear of it
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)


def try_tiny(kind: type[Peer], modes: tuple[str, ...], device: str) -> None:
    for mode in modes:
        # Graphs are CUDA's.
        if mode == "graph" and device == "cpu":
            continue
        peer = kind(mode, device)
        version = peer.open()["version"]
        parameters = peer.prepare(TINY, 2)["parameters"]
        milliseconds = statistics.median(peer.time(100)["milliseconds"])
        print(f"{version}, {mode}: {parameters} parameters, {milliseconds:.2f} ms")


def main(kind: type[Peer], modes: tuple[str, ...]) -> None:
    """Answers requests with a peer of this kind, or tries all of its modes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=modes, default="eager")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    if arguments.tiny:
        try_tiny(kind, modes, arguments.device)
    else:
        serve(kind(arguments.mode, arguments.device))


if __name__ == "__main__":
    main(Peer, MODES)
