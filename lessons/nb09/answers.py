"""Answers to the exercises of notebook 09."""

import numpy as np
import torch

from utils.exercises.definitions import Answers

# --- 9.2


def step_by_step(rates, decay):
    found, shrink = [], 1.0
    for rate in rates:
        found.append(rate / shrink / (shrink * (1 - rate * decay)))
        shrink *= 1 - rate * decay
    return found


def as_an_array(rates, decay):
    rates = np.array(rates)
    left = np.cumprod(1 - rates * decay)
    return rates * (1 - rates * decay) / left**2


def exponential(rates, decay):
    return [rate * np.exp(2 * decay * sum(rates[:step])) for step, rate in enumerate(rates)]


def by_the_mean_rate(rates, decay):
    mean = sum(rates) / len(rates)
    return [rate / (1 - mean * decay) ** (2 * step + 1) for step, rate in enumerate(rates)]


def the_last_alone(rates, decay):
    return step_by_step(rates, decay)[-1]


def early(rates, decay):
    return [rate / np.prod([1 - r * decay for r in rates[:step]]) ** 2 for step, rate in enumerate(rates)]


# --- 9.3


def put_back_by_hand(network, x):
    state = {name: value.clone() for name, value in network.state_dict().items()}
    mode, found = network.training, []
    network.train()
    with torch.no_grad():
        said = network(x)
        for name, parameter in network.named_parameters():
            kept = parameter.clone()
            parameter.copy_(2 * kept)
            if (network(x) - said).abs().max() / said.abs().max() < 1e-3:
                found.append(name)
            parameter.copy_(kept)
    network.load_state_dict(state)
    network.train(mode)
    return found


def by_functional_call(network, x):
    from copy import deepcopy

    copied = deepcopy(network).train()
    parameters = dict(copied.named_parameters())
    said = copied(x)

    def off(name):
        changed = {**parameters, name: 2 * parameters[name]}
        return (torch.func.functional_call(copied, changed, (x,)) - said).abs().max() / said.abs().max()

    return [name for name in parameters if off(name) < 1e-3]


def weights_of_convolutions(network, x):
    return [f"{name}.weight" for name, module in network.named_modules() if isinstance(module, torch.nn.Conv2d)]


def only_weights(network, x):
    return [name for name in put_back_by_hand(network, x) if name.endswith("weight")]


def in_evaluation(network, x):
    mode = network.training
    said, found = network.eval()(x), []
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.mul_(2)
            if torch.allclose(network(x), said, rtol=1e-3):
                found.append(name)
            parameter.div_(2)
    network.train(mode)
    return found


def a_number(network, x):
    return len(put_back_by_hand(network, x))


ANSWERS = {
    "schedule-instead-of-decay": Answers(
        right=[step_by_step, as_an_array],
        wrong=[
            ("wrong_values", exponential),
            ("wrong_values", by_the_mean_rate),
            ("unusable", the_last_alone),
            ("one_too_low", early),
        ],
    ),
    "whose-size-is-forgotten": Answers(
        right=[put_back_by_hand, by_functional_call],
        wrong=[
            ("kernels", weights_of_convolutions),
            ("wrong_values", only_weights),
            ("evaluation", in_evaluation),
            ("unusable", a_number),
        ],
    ),
}
