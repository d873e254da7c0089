"""A small convolutional network trained in PyTorch: what `pytorch.json` beside this holds.

    pip install torch
    python tests/conv/pytorch.py > tests/conv/pytorch.json

Twenty steps of SGD with momentum, each over all examples, in f64. Features and initial parameters are
whole numbers over a power of two, by a formula of their index, so that whoever compares makes them again.

Signals here are channels-last, PyTorch's are channels-first: features, and the columns of the linear layer
after `flatten`, are counted `[height, width, channels]` in the table and put in PyTorch's order before they
are used. Convolutions' weights are `[outputs, channels / groups, height, width]` in both.
"""

import json

import torch

EXAMPLES, HEIGHT, WIDTH, CHANNELS, CLASSES = 16, 12, 12, 3, 5
STEPS, RATE, MOMENTUM = 20, 0.05, 0.9


def numbers(shape, factor, shift, modulus, scale):
    """`((factor i + shift) mod modulus - modulus // 2) / scale` for each index `i`."""
    count = torch.Size(shape).numel()
    index = torch.arange(count, dtype=torch.int64)
    values = (index * factor + shift) % modulus - modulus // 2
    return (values.to(torch.float64) / scale).reshape(shape)


def main():
    nn = torch.nn
    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(CHANNELS, 6, 3, padding=1))
    model.add_module("relu1", nn.ReLU())
    model.add_module("pool1", nn.MaxPool2d(2))
    model.add_module("conv2", nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2))
    model.add_module("relu2", nn.ReLU())
    model.add_module("pool2", nn.AvgPool2d(2, stride=1))
    model.add_module("flatten", nn.Flatten())
    model.add_module("linear", nn.Linear(2 * 2 * 8, CLASSES))
    model.double()

    def flattened(weight):
        """Columns `[2, 2, 8]` as PyTorch's `[8, 2, 2]`."""
        return weight.reshape(CLASSES, 2, 2, 8).permute(0, 3, 1, 2).reshape(CLASSES, -1)

    def unflattened(weight):
        return weight.reshape(CLASSES, 8, 2, 2).permute(0, 2, 3, 1).reshape(CLASSES, -1)

    with torch.no_grad():
        for place, (name, parameter) in enumerate(model.named_parameters()):
            values = numbers(parameter.shape, 37, 11 * place, 101, 256)
            parameter.copy_(flattened(values) if name == "linear.weight" else values)
    features = numbers((EXAMPLES, HEIGHT, WIDTH, CHANNELS), 53, 0, 97, 32).permute(0, 3, 1, 2)
    labels = torch.arange(EXAMPLES) % CLASSES

    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(features), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    parameters = {}
    for name, parameter in model.named_parameters():
        values = parameter.detach()
        values = unflattened(values) if name == "linear.weight" else values
        parameters[name] = [round(value, 7) for value in values.flatten().tolist()]
    table = {
        "pytorch": torch.__version__.split("+")[0],
        "losses": [round(loss, 7) for loss in losses],
        "parameters": parameters,
    }
    print(json.dumps(table))


main()
