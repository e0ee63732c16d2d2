"""Answers to the exercises of notebook 09."""

import numpy as np
import torch

from utils.exercises.definitions import Answers

# --- 9.2


def step_by_step(rate, decay, steps):
    rates, shrink = [], 1 - rate * decay
    now = rate / shrink
    for _ in range(steps):
        rates.append(now)
        now /= shrink * shrink
    return rates


def as_an_array(rate, decay, steps):
    return rate * (1 - rate * decay) ** -(2.0 * np.arange(steps) + 1)


def exponential(rate, decay, steps):
    return [rate * np.exp(2 * rate * decay * step) for step in range(steps)]


def from_the_first_power(rate, decay, steps):
    return [rate / (1 - rate * decay) ** step for step in range(steps)]


def the_last_alone(rate, decay, steps):
    return rate / (1 - rate * decay) ** (2 * steps - 1)


def early(rate, decay, steps):
    return [rate / (1 - rate * decay) ** (2 * step) for step in range(steps)]


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
            ("wrong_values", from_the_first_power),
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
