"""Trains the network whose features fashion-lenet/ holds: python3 lenet-training.py DATA_FOLDER OUT.safetensors

DATA_FOLDER has the four IDX files of Fashion-MNIST (scripts/setup --data). Prints the accuracy on the test images.
"""

import gzip
import sys

import numpy
import torch
from safetensors.torch import save_file
from torch import nn


def read(folder, part):
    def idx(name, header):
        with gzip.open(f"{folder}/{part}-{name}-ubyte.gz") as file:
            return numpy.frombuffer(file.read(), numpy.uint8, offset=header)

    images = idx("images-idx3", 16).reshape(-1, 1, 28, 28).astype(numpy.float32) / 127.5 - 1
    return torch.from_numpy(images), torch.from_numpy(idx("labels-idx1", 8).astype(numpy.int64))


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5, padding=2)
        self.conv2 = nn.Conv2d(16, 32, 5, padding=2)
        self.fc1 = nn.Linear(32 * 7 * 7, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.conv1(x).relu(), 2)
        x = nn.functional.max_pool2d(self.conv2(x).relu(), 2)
        return self.fc2(self.fc1(x.flatten(1)).relu())


def main(folder, out, epochs=12, batch=128):
    torch.manual_seed(1)
    images, labels = read(folder, "train")
    network = LeNet()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-2)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 2e-3, total_steps=epochs * (len(images) // batch)
    )
    for _ in range(epochs):
        order = torch.randperm(len(images))
        for first in range(0, len(images) - batch + 1, batch):
            of = order[first : first + batch]
            loss = nn.functional.cross_entropy(network(images[of]), labels[of])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rates.step()
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, out)
    test, expected = read(folder, "t10k")
    with torch.no_grad():
        found = torch.cat([network(part).argmax(1) for part in test.split(1000)])
    print(f"right on {(found == expected).float().mean().item():.4f} of the test images")


main(*sys.argv[1:])
