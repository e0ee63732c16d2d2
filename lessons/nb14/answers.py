"""Answers to the exercises of notebook 14."""

import copy

import torch
import torch.nn as nn

from utils.exercises.definitions import Answers

KINDS = nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm

# --- 14.2


def layer_by_layer(network):
    """Each layer decides on what belongs to it and to none inside it."""
    chosen = []
    for layer in network.modules():
        learns = type(layer) in KINDS
        for p in layer.parameters(recurse=False):
            p.requires_grad = learns
            if learns:
                chosen.append(p)
    return chosen


def outer_first(network):
    """What an outer module has frozen, an inner one lets learn again, unless it has been visited before."""
    for layer in network.modules():
        for p in layer.parameters():
            p.requires_grad_(isinstance(layer, KINDS))
    return [p for layer in network.modules() if isinstance(layer, KINDS) for p in layer.parameters()]


def by_hand(network):
    for p in network.parameters():
        p.requires_grad = False
    seen = {}
    for _, layer in network.named_modules():
        if isinstance(layer, KINDS):
            for p in (layer.weight, layer.bias):
                if p is not None:
                    p.requires_grad = True
                    seen[id(p)] = p
    return list(seen.values())


def of_layers(network, layers):
    network.requires_grad_(False)
    chosen = [p for layer in layers for p in layer.parameters()]
    for p in chosen:
        p.requires_grad = True
    return chosen


def with_one_axis(network):
    chosen = []
    for p in network.parameters():
        p.requires_grad = p.dim() == 1
        chosen += [p] if p.requires_grad else []
    return chosen


def named_norm(network):
    chosen = []
    for name, p in network.named_parameters():
        p.requires_grad = "norm" in name.lower()
        if p.requires_grad:
            chosen.append(p)
    return chosen


def batch_norms(network):
    return of_layers(network, [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)])


def outermost(network):
    return of_layers(network, [layer for layer in network if isinstance(layer, KINDS)])


def learning(network):
    """Lets them learn, and the others as well."""
    chosen = [p for m in network.modules() if isinstance(m, KINDS) for p in m.parameters()]
    for p in chosen:
        p.requires_grad = True
    return chosen


def frozen_at_the_end(network):
    chosen = learning(network)
    for p in network.parameters():
        p.requires_grad = False
    return chosen


def others_frozen(network):
    for m in network.modules():
        if not isinstance(m, KINDS):
            for p in m.parameters(recurse=False):
                p.requires_grad = False
    return [p for m in network.modules() if isinstance(m, KINDS) for p in m.parameters()]


def looked_up(network):
    return [p for m in network.modules() if isinstance(m, KINDS) for p in m.parameters()]


def gammas(network):
    network.requires_grad_(False)
    chosen = [m.weight for m in network.modules() if isinstance(m, KINDS) and m.weight is not None]
    for p in chosen:
        p.requires_grad_(True)
    return chosen


def pairs(network):
    network.requires_grad_(False)
    chosen = []
    for m in network.modules():
        if isinstance(m, KINDS):
            chosen += [m.weight, m.bias]
    for p in chosen:
        p.requires_grad_()
    return chosen


def cautious_pairs(network):
    network.requires_grad_(False)
    chosen = []
    for m in network.modules():
        if isinstance(m, KINDS):
            for p in (m.weight, m.bias):
                chosen.append(p)
                if p is not None:
                    p.requires_grad_()
    return chosen


def all_states(network):
    network.requires_grad_(False)
    chosen = []
    for m in network.modules():
        if isinstance(m, KINDS):
            for tensor in [*m.parameters(), *m.buffers()]:
                chosen.append(tensor.requires_grad_())
    return chosen


def floating_states(network):
    network.requires_grad_(False)
    norms = [m for m in network.modules() if isinstance(m, KINDS)]
    chosen = [v for m in norms for v in [*m.parameters(), *m.buffers()] if v.is_floating_point()]
    for v in chosen:
        v.requires_grad_()
    return chosen


def clones(network):
    return [p.clone().detach().requires_grad_() for p in of_layers(network, with_norms(network))]


def with_norms(network):
    return [m for m in network.modules() if isinstance(m, KINDS)]


def down(layer):
    """Down into every branch, and twice into a layer that stands in two places."""
    if isinstance(layer, KINDS):
        for p in layer.parameters():
            p.requires_grad_(True)
        return list(layer.parameters())
    for p in layer.parameters(recurse=False):
        p.requires_grad_(False)
    found = []
    for inner in layer._modules.values():
        found += down(inner)
    return found


def named(network):
    chosen = of_layers(network, with_norms(network))
    return [(name, p) for name, p in network.named_parameters() if any(p is other for other in chosen)]


def the_network(network):
    of_layers(network, with_norms(network))
    return network


def and_returns_nothing(network):
    of_layers(network, with_norms(network))


def in_training_mode(network):
    network.train()
    return of_layers(network, with_norms(network))


def fresh(network):
    for m in with_norms(network):
        m.reset_parameters()
        for p in m.parameters():
            torch.nn.init.constant_(p, 0.5)
    return of_layers(network, with_norms(network))


def and_the_last_layer(network):
    return of_layers(network, [*with_norms(network), [m for m in network.modules() if isinstance(m, nn.Linear)][-1]])


# --- 14.3


def by_beginnings(network, x, training):
    """The beginning of a text, read alone; without dropout."""
    reader = copy.deepcopy(network)
    reader.train(training)
    for part in reader.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    with torch.no_grad():
        whole = reader(x)
        for t in range(2, x.size(1)):
            if not torch.allclose(reader(x[:, :t]), whole[:, :, :t], rtol=0, atol=1e-5):
                return True
    return False


def by_gradients(network, x, training):
    """From what is said at a place back to the symbols, behind the embedding."""
    state = {name: value.clone() for name, value in network.state_dict().items()}
    was = {part: part.training for part in network.modules()}
    network.train(training)
    kept = []

    def keep(module, inputs, output):
        kept.append(output.detach().requires_grad_())
        return kept[-1]

    embedding = next(part for part in network.modules() if isinstance(part, nn.Embedding))
    hook = embedding.register_forward_hook(keep)
    said = network(x)
    hook.remove()
    direction = torch.randn(said.shape[1], 1)
    leak = False
    for t in range(x.shape[1] - 1):
        (back,) = torch.autograd.grad((said[:, :, : t + 1] * direction).square().sum(), kept, retain_graph=True)
        leak |= bool((back[:, t + 1 :].abs() > 1e-7).any())
    for part, mode in was.items():
        part.training = mode
    network.load_state_dict(state)
    return leak


def symbol_by_symbol(network, x, training):
    """One symbol is exchanged at a time, in one copy of the network; the answer is a tensor."""
    reader = copy.deepcopy(network).train() if training else copy.deepcopy(network).eval()
    largest = torch.zeros(())
    for t in range(x.shape[1]):
        other = x.clone()
        other[:, t] = torch.where(x[:, t] == 0, 16, x[:, t] - 1)
        torch.manual_seed(7)
        a = reader(x)
        torch.manual_seed(7)
        b = reader(other)
        if t:
            largest = torch.maximum(largest, (a - b)[..., :t].abs().max())
    return largest > 1e-5


def probe(reader, x, places, upto=0, seed=True, base=None):
    """Whether changing these places shows before them; no care is taken of the network."""
    shown = False
    for t in places:
        other = x.clone()
        other[:, t:] = (other[:, t:] + 5) % 17
        if seed:
            torch.manual_seed(1)
        a = reader(x)
        if seed:
            torch.manual_seed(1)
        b = reader(other)
        shown |= bool(((a - b).abs() > 1e-5)[:, :, : t + upto].any())
    return shown


def middle(x):
    return range(1, x.shape[1])


def all_places(network, x, training):
    reader = copy.deepcopy(network).train(training)
    other = (x + 1) % 17
    torch.manual_seed(0)
    a = reader(x)
    torch.manual_seed(0)
    return not torch.allclose(a, reader(other), atol=1e-5)


def classes_for_places(network, x, training):
    reader = copy.deepcopy(network).train(training)
    other = x.clone()
    other[:, -1] = (x[:, -1] + 1) % 17
    torch.manual_seed(0)
    a = reader(x)
    torch.manual_seed(0)
    return bool(((a - reader(other)).abs() > 1e-5)[:, :-1].any())


def forgets_to_change(network, x, training):
    reader = copy.deepcopy(network).train(training)
    other = x.clone()
    torch.manual_seed(0)
    a = reader(x)
    torch.manual_seed(0)
    return bool((a - reader(other))[..., :-1].abs().max() > 1e-5)


def the_last(network, x, training):
    return probe(copy.deepcopy(network).train(training), x, [x.shape[1] - 1])


def whatever_mode(network, x, training):
    return probe(copy.deepcopy(network), x, middle(x))


def in_use(network, x, training):
    return probe(copy.deepcopy(network).eval(), x, middle(x))


def in_training(network, x, training):
    return probe(copy.deepcopy(network).train(), x, middle(x))


def new_numbers_each_time(network, x, training):
    return probe(copy.deepcopy(network).train(training), x, middle(x), seed=False)


def careless(network, x, training):
    network.train(training)
    return probe(network, x, middle(x), seed=False)


def modes_only(network, x, training):
    was = [(part, part.training) for part in network.modules()]
    shown = careless(network, x, training)
    for part, mode in was:
        part.training = mode
    return shown


def leaves_traces(network, x, training):
    network.train(training)
    with torch.no_grad():
        return probe(network, x, middle(x))


def follows_the_batches(network, x, training):
    was = [(part, part.training) for part in network.modules()]
    shown = leaves_traces(network, x, training)
    for part, mode in was:
        part.training = mode
    return shown


def forgets_the_mode(network, x, training):
    state = copy.deepcopy(network.state_dict())
    shown = leaves_traces(network, x, training)
    network.load_state_dict(state)
    return shown


def thaws(network, x, training):
    was, state = network.training, copy.deepcopy(network.state_dict())
    shown = leaves_traces(network, x, training)
    network.load_state_dict(state)
    network.train(was)
    return shown


def seventeen(network, x, training):
    other = x.clone()
    other[:, -1] += 1
    other[:, -2] = 17
    reader = copy.deepcopy(network).train(training)
    return bool((reader(x) - reader(other))[..., :-2].abs().max() > 1e-5)


def in_the_given_text(network, x, training):
    reader = copy.deepcopy(network).train(training)
    torch.manual_seed(0)
    shown = False
    for t in middle(x):
        torch.manual_seed(0)
        a = reader(x)
        x[:, t:] = (x[:, t:] + 1) % 17
        torch.manual_seed(0)
        shown |= bool((a - reader(x))[..., :t].abs().max() > 1e-5)
    return shown


def how_much(network, x, training):
    reader = copy.deepcopy(network).train(training)
    return (reader(x) - reader((x + 1) % 17)).abs().amax((0, 1))


def in_words(network, x, training):
    return "leaks" if by_beginnings(network, x, training) else "does not leak"


ANSWERS = {
    "two-numbers-a-channel": Answers(
        right=[layer_by_layer, by_hand],
        wrong=[
            ("one_axis", with_one_axis),
            ("by_name", named_norm),
            ("one_kind", batch_norms),
            ("not_deep", outermost),
            ("nothing_frozen", learning),
            ("all_frozen", frozen_at_the_end),
            ("not_thawed", others_frozen),
            ("only_returned", looked_up),
            ("no_beta", gammas),
            ("none", pairs),
            ("none", cautious_pairs),
            ("statistics", all_states),
            ("statistics", floating_states),
            ("copies", clones),
            ("frozen_again", outer_first),
            ("twice", down),
            ("unusable", named),
            ("unusable", the_network),
            ("unusable", and_returns_nothing),
            ("wrong_values", in_training_mode),
            ("wrong_values", fresh),
            ("wrong_values", and_the_last_layer),
        ],
    ),
    "who-sees-the-future": Answers(
        right=[by_beginnings, by_gradients, symbol_by_symbol],
        wrong=[
            ("own_place", all_places),
            ("own_place", classes_for_places),
            ("finds_nothing", forgets_to_change),
            ("last_symbol", the_last),
            ("mode_as_it_is", whatever_mode),
            ("always_evaluation", in_use),
            ("always_training", in_training),
            ("random", new_numbers_each_time),
            ("random_and_left", careless),
            ("random_and_statistics", modes_only),
            ("nothing_restored", leaves_traces),
            ("statistics_left", follows_the_batches),
            ("mode_left", forgets_the_mode),
            ("mode_of_parts", thaws),
            ("no_such_symbol", seventeen),
            ("changes_input", in_the_given_text),
            ("unusable", how_much),
            ("unusable", in_words),
        ],
    ),
}
