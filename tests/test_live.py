"""The networks that learn in a page, `docs/live`: their arithmetic is PyTorch's, and the page works by keyboard alone.

`python tests/test_live.py` writes the still that stands in `index.html` for readers without scripts, and says how many
steps a second the page makes here.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from page_browser import Opened
from torch import nn

from tools.browser import chromium
from utils.plots.style import THEMES

LIVE = Path(__file__).resolve().parent.parent / "docs/live"
PAGE = LIVE / "index.html"
SCRIPTS = ("network.js", "drawing.js", "live.js")
WIDTH, CLASSES, BATCH, STEPS = 16, 3, 32, 20
STILL_STEPS = 300

# network.js does what PyTorch does below; arrays come back as lists.
LEARN = """([depth, normalized, rate, momentum, steps]) => {
  const {Network, crossEntropy} = liveNetwork(), list = (array) => Array.from(array);
  const network = new Network({depth, width: 16, classes: 3, normalized});
  const norms = network.layers.filter((layer) => layer.gamma);
  const told = steps.map(([x, labels, state]) => {
    if (state) {
      network.parameters.forEach((p, k) => p.value.set(state.values[k]));
      network.parameters.forEach((p, k) => (p.velocity = Float64Array.from(state.velocity[k])));
      norms.forEach((n, k) => n.runningMean.set(state.running[2 * k]));
      norms.forEach((n, k) => n.runningVar.set(state.running[2 * k + 1]));
    }
    const {loss, gradient} = crossEntropy(network.forward(Float64Array.from(x), true), Uint8Array.from(labels));
    const layers = network.backward(gradient).map(list), grads = network.parameters.map((p) => list(p.grad));
    const spreads = network.spreads(), sizes = network.gradientNorms();
    network.step(rate, momentum);
    const values = network.parameters.map((p) => list(p.value));
    const running = norms.flatMap((n) => [list(n.runningMean), list(n.runningVar)]);
    return {loss: [[loss]], layers, grads, spreads: [spreads], sizes: [sizes], values, running};
  });
  const x = Float64Array.from(steps[0][0]);
  return [told, list(network.predict(x)), network.accuracy(x, steps[0][1])];
}"""

STATE = "document.querySelector('.live').live?.state()"


# --- without a browser


def test_the_files_are_short_and_fetch_nothing():
    for name, most in {"network.js": 250, "drawing.js": 200, "live.js": 299, "live.css": 150}.items():
        text = (LIVE / name).read_text("utf-8")
        lines = text.splitlines()
        assert len(lines) <= most, name
        assert max(map(len, lines)) <= 120, name
        assert not re.search(r"https?:|\bfetch\(|XMLHttpRequest|importScripts|@import|url\(", text), name


def test_the_mathematics_knows_nothing_of_a_page():
    text = (LIVE / "network.js").read_text("utf-8")
    assert not re.search(r"\b(document|window|postMessage|performance|self)\b", text)


def test_the_colours_are_the_courses():
    css = (LIVE / "live.css").read_text("utf-8")
    used = dict(re.findall(r"--(\w+): light-dark\((#\w+, #\w+)\)", css))
    assert {"paper", "ink", "grid", "theory", "without", "with", "other"} == set(used)
    assert all(value == ", ".join(THEMES[name]) for name, value in used.items())


def test_without_scripts_there_is_a_still():
    still = PAGE.read_text("utf-8").split("<!-- still -->")[1].split("<!-- /still -->")[0]
    assert re.search(rf"After {STILL_STEPS} steps, without normalization \d+\s%, with it \d+\s%", still)
    assert still.count("<figure") == 5
    assert still.count("<title>") == 5


# --- in a browser


@contextmanager
def opened(browser, path=PAGE, **options):
    """The page from its file, without a network: it must ask for nothing, and its console must have nothing to say."""
    heeded = ("error", "warning")
    with Opened(browser, path.as_uri(), heeded, **{"viewport": {"width": 1100, "height": 1100}, **options}) as it:
        yield it.page
        assert not it.asked + it.errors


def until(page, what):
    """Wait until this is true of the page's `state`."""
    page.wait_for_function(f"(() => {{ const state = {STATE}; return state && state.maps && ({what}); }})()")


def after(page, steps, **settings):
    """The two accuracies on test points and the signal after so many steps, from the page's own worker."""
    if page.inner_text("[data-do=play]") == "Pause":
        page.click("[data-do=play]")
    until(page, "true")
    now = page.evaluate(f"{STATE}.settings") | settings
    page.evaluate("given => document.querySelector('.live').live.ask('reset', given)", now)
    until(page, f"state.step === 0 && {' && '.join(f'state.settings.{k} == {v!r}' for k, v in settings.items()) or 1}")
    page.evaluate("steps => document.querySelector('.live').live.ask('step', steps)", steps)
    until(page, f"state.step === {steps}")
    state = page.evaluate(f"(({{accuracy, spread, gradient}}) => ({{accuracy, spread, gradient}}))({STATE})")
    return [round(100 * test, 1) for _, test in state["accuracy"]], state


def steps_a_second(page, seconds=10):
    """What the page makes at its first settings, here and now."""
    until(page, "state.step > 0")
    start = page.evaluate(f"[performance.now(), {STATE}.step]")
    page.wait_for_timeout(1000 * seconds)
    end = page.evaluate(f"[performance.now(), {STATE}.step]")
    return 1000 * (end[1] - start[1]) / (end[0] - start[0])


def in_pytorch(depth, normalized, he=False, affine=True):
    """A network of torch.nn's layers, and its hidden layers one by one; γ and β are not 1 and 0 if `affine`."""
    torch.manual_seed(depth)
    blocks = []
    for layer in range(depth):
        linear = nn.Linear(WIDTH if layer else 2, WIDTH, bias=not normalized)
        if he:
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        blocks.append(nn.Sequential(linear, *([nn.BatchNorm1d(WIDTH)] if normalized else []), nn.ReLU()))
    network = nn.Sequential(*blocks, nn.Linear(WIDTH, CLASSES)).double()
    if normalized and affine:
        for block in blocks:
            nn.init.uniform_(block[1].weight, 0.5, 1.5)
            nn.init.uniform_(block[1].bias, -0.5, 0.5)
    return network, blocks


def flat(tensors):
    return [tensor.detach().flatten().tolist() for tensor in tensors]


def a_step(network, blocks, optimizer, x, labels):
    """One step; what there is to compare, under the names that LEARN has for it."""
    outputs = []
    for block in blocks:
        x = block(x)
        x.retain_grad()
        outputs.append(x)
    loss = F.cross_entropy(network[-1](x), labels)
    optimizer.zero_grad()
    loss.backward()
    spreads = [y.var(0, correction=0).mean().sqrt().item() for y in outputs]
    grads = flat(p.grad for p in network.parameters())
    optimizer.step()
    return {
        "loss": [[loss.item()]],
        "layers": flat(y.grad for y in outputs),
        "grads": grads,
        "spreads": [spreads],
        "sizes": [[y.grad.norm().item() for y in outputs]],
        "values": flat(network.parameters()),
        "running": flat(buffer for buffer in network.buffers() if buffer.ndim),
    }


def apart(ours, theirs):
    """How far the second is from the first, relative to its size: the worst of several arrays."""
    ours, theirs = ([torch.tensor(each, dtype=torch.float64) for each in arrays] for arrays in (ours, theirs))
    assert len(ours) == len(theirs)
    differences = [((b - a).norm() / a.norm().clamp(min=1e-300)).item() for a, b in zip(ours, theirs, strict=True)]
    return max(differences, default=0.0)


def compare(browser, depth, normalized, he=False, *, alone=True, source=None, rate=0.02, batch=BATCH, affine=True):
    """20 steps in both, of which network.js takes each from PyTorch's state or, if `alone`, only the first."""
    network, blocks = in_pytorch(depth, normalized, he, affine)
    optimizer = torch.optim.SGD(network.parameters(), rate, momentum=0.9)
    steps, ours = [], []
    for number in range(STEPS):
        x, labels = torch.randn(batch, 2).double(), torch.randint(CLASSES, (batch,))
        state = None
        if number == 0 or not alone:
            velocity = [optimizer.state[p].get("momentum_buffer", torch.zeros_like(p)) for p in network.parameters()]
            running = flat(buffer for buffer in network.buffers() if buffer.ndim)
            state = {"values": flat(network.parameters()), "velocity": flat(velocity), "running": running}
        steps.append([x.flatten().tolist(), labels.tolist(), state])
        ours.append(a_step(network, blocks, optimizer, x, labels))
    page = browser.new_page()
    page.add_script_tag(content=source or (LIVE / "network.js").read_text("utf-8"))
    given = json.dumps([depth, normalized, rate, 0.9, steps])  # as text: quicker than value by value
    told, judged, accuracy = json.loads(page.evaluate(f"(text) => JSON.stringify(({LEARN})(JSON.parse(text)))", given))
    page.close()
    worst = {name: max(apart(a[name], b[name]) for a, b in zip(ours, told, strict=True)) for name in ours[0]}
    network.eval()
    with torch.no_grad():
        p = network(torch.tensor(steps[0][0], dtype=torch.float64).reshape(batch, 2)).softmax(1)
    worst["judged"] = apart([p.flatten().tolist()], [judged])
    worst["accuracy"] = abs((p.argmax(1) == torch.tensor(steps[0][1])).double().mean().item() - accuracy)
    return worst


@pytest.mark.browser
@pytest.mark.parametrize("he", [False, True], ids=["default start", "He's start"])
@pytest.mark.parametrize("normalized", [False, True], ids=["without", "with"])
@pytest.mark.parametrize("depth", [2, 6, 20])
def test_each_of_twenty_steps_is_pytorchs(browser, depth, normalized, he):
    worst = compare(browser, depth, normalized, he, alone=False)
    assert max(worst.values()) < 1e-6, worst


@pytest.mark.browser
@pytest.mark.parametrize("normalized", [False, True], ids=["without", "with"])
@pytest.mark.parametrize("depth", [2, 6, 20])
def test_twenty_steps_on_its_own_are_pytorchs(browser, depth, normalized):
    """At depth 20, normalized, with a small rate and large batches: see the next test."""
    calm = {"rate": 0.001, "batch": 128, "affine": False} if depth == 20 else {}
    worst = compare(browser, depth, normalized, **calm)
    assert max(worst.values()) < 1e-6, worst


@pytest.mark.proof
def test_twenty_normalized_layers_drift_away_from_themselves():
    """PyTorch against PyTorch, all weights moved by one part in 10¹⁵: why nothing is compared there after 20 steps."""
    told = []
    for moved in (0, 1e-15):
        network, blocks = in_pytorch(20, True, affine=False)
        with torch.no_grad():
            for number, parameter in enumerate(network.parameters()):
                parameter *= 1 + moved * (-1) ** number
        optimizer = torch.optim.SGD(network.parameters(), 0.03, momentum=0.9)
        torch.manual_seed(0)
        for _ in range(STEPS):
            batch = torch.randn(BATCH, 2).double(), torch.randint(CLASSES, (BATCH,))
            last = a_step(network, blocks, optimizer, *batch)
        told.append(last["grads"])
    assert apart(*told) > 1e-6


@pytest.mark.browser
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("- xhat[n * C + c] * dgamma / N", ""),
        ("- dbeta / N", ""),
        ("variance * N / (N - 1)", "variance"),
        ("variance + EPS", "variance"),
        ("momentum * p.velocity[k] +", ""),
        ("this.x[k] > 0 ?", "this.x[k] > -0.01 ?"),
        ("db[o] += g;", "db[o] += 0;"),
    ],
)
def test_a_mistake_would_be_seen(browser, right, wrong):
    text = (LIVE / "network.js").read_text("utf-8")
    assert text.count(right) == 1
    broken = text.replace(right, wrong)
    assert not all(max(compare(browser, 2, kind, source=broken).values()) < 1e-6 for kind in (False, True))


@pytest.mark.browser
def test_it_learns_from_a_file_without_an_error(browser):
    with opened(browser) as page:
        until(page, "state.step > 5")
        assert re.fullmatch(r"Step \d+: without \d+\s%, with \d+\s%\.", page.inner_text(".summary"))
        state = page.evaluate(STATE)
        assert len(state["losses"][0]) == len(state["losses"][1]) == state["step"]
        assert [len(values) for values in (*state["spread"], *state["gradient"])] == [20] * 4
        assert page.locator(".chart svg").count() == 3


@pytest.mark.browser
def test_the_keyboard_alone(browser):
    with opened(browser) as page:
        until(page, "state.step > 2")
        met = []
        for _ in range(40):
            page.keyboard.press("Tab")
            what = page.evaluate("(e => e.dataset.do || e.dataset.set || e.tagName)(document.activeElement)")
            if what in met or what == "BODY":
                break
            met.append(what)
            if what == "SUMMARY":
                page.keyboard.press("Enter")
        buttons, settings = ["play", "step", "reset"], ["rate", "batch", "momentum", "seed", "speed"]
        assert met == [*buttons, "depth", "start", "task", "SUMMARY", *settings, "plain", "back"]

        page.focus("[data-do=play]")
        page.keyboard.press("Space")
        assert page.inner_text("[data-do=play]") == "Play"
        page.wait_for_timeout(500)
        step = page.evaluate(f"{STATE}.step")
        page.wait_for_timeout(700)
        assert page.evaluate(f"{STATE}.step") == step
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # one step
        until(page, f"state.step === {step + 1}")
        page.focus("[data-set=depth]")
        page.keyboard.press("ArrowLeft")
        until(page, "state.settings.depth === 19 && state.step === 0")
        assert page.get_attribute("[data-set=depth]", "aria-valuetext") == "19"
        page.focus("[data-do=play]")
        page.keyboard.press("Enter")
        until(page, "state.step > 0 && state.spread[1].length === 19")


@pytest.mark.browser
def test_every_control_has_a_name_and_a_value(browser):
    with opened(browser) as page:
        until(page, "true")
        for control in page.locator("[data-set]").all():
            assert control.evaluate("e => e.labels[0].textContent.trim().length") > 3
            assert control.evaluate("e => e.type !== 'range' || !!e.getAttribute('aria-valuetext')")
        assert page.get_attribute(".summary", "aria-live") == "polite"
        for picture in page.locator("[role=img]").all():
            assert picture.get_attribute("aria-label")


@pytest.mark.browser
def test_what_is_said_is_not_said_too_often(browser):
    with opened(browser) as page:
        page.evaluate("""() => {
          window.said = [];
          const note = new MutationObserver(() => said.push(performance.now()));
          note.observe(document.querySelector(".summary"), {childList: true});
        }""")
        page.wait_for_function("said.length > 3")
        times = page.evaluate("said")
        assert min(b - a for a, b in pairwise(times)) > 1900


@pytest.mark.browser
def test_it_rests_when_it_should(browser, tmp_path):
    with opened(browser, reduced_motion="reduce") as page:
        until(page, "true")
        page.wait_for_timeout(800)
        assert page.evaluate(f"{STATE}.step") == 0
        assert page.inner_text("[data-do=play]") == "Play"
    with opened(browser) as page:  # out of view
        until(page, "state.step > 1")
        page.add_style_tag(content="body { padding-bottom: 5000px !important }")
        page.evaluate("scrollTo(0, 5000)")
        page.wait_for_timeout(1000)
        step = page.evaluate(f"{STATE}.step")
        page.wait_for_timeout(700)
        assert page.evaluate(f"{STATE}.step") == step
        page.evaluate("scrollTo(0, 0)")
        until(page, f"state.step > {step}")


@pytest.mark.browser
def test_two_in_one_page_and_other_figures_stay(browser, tmp_path):
    """A place may say what it starts with; a notebook's figures that move are called live, too."""
    scripts = "".join(f'<script src="{(LIVE / name).as_uri()}"></script>' for name in SCRIPTS)
    css = f'<link rel="stylesheet" href="{(LIVE / "live.css").as_uri()}">'
    (tmp_path / "page.html").write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><title>x</title>{css}<div class="course-moving live">stays</div>'
        f'<div class="live" data-depth="4" data-start="he"></div><div class="live" data-depth="99"></div>{scripts}',
        "utf-8",
    )
    with opened(browser, tmp_path / "page.html") as page:
        assert page.inner_text(".course-moving") == "stays"
        page.wait_for_function("[...document.querySelectorAll('.learning')].every((e) => e.live.state().settings)")
        settings = page.evaluate("[...document.querySelectorAll('.learning')].map((e) => e.live.state().settings)")
        assert [(each["depth"], each["start"]) for each in settings] == [(4, "he"), (20, "default")]


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1100])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits(browser, width, scheme):
    with opened(browser, viewport={"width": width, "height": 1800}, color_scheme=scheme) as page:
        until(page, "state.step > 0")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.click("summary")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        outside = """() => [...document.querySelectorAll(".live svg text")].filter((e) => {
          const box = e.getBoundingClientRect(), frame = e.ownerSVGElement.getBoundingClientRect();
          return box.left < frame.left - 1 || box.right > frame.right + 1;
        }).map((e) => e.textContent)"""
        assert page.evaluate(outside) == []


@pytest.mark.browser
def test_without_it_twenty_layers_stay_at_chance_and_with_it_they_learn(browser):
    with opened(browser, reduced_motion="reduce") as page:
        for seed in (1, 2, 3):
            (without, with_), state = after(page, 300, seed=seed)
            assert without == 50, seed
            assert with_ > 75, seed
            assert state["spread"][0][-1] < 1e-6 < 0.1 < state["spread"][1][-1]
            assert state["gradient"][0][0] < 1e-6 < 1e-3 < state["gradient"][1][0]


@pytest.mark.browser
def test_there_are_settings_where_the_plain_network_wins(browser):
    with opened(browser, reduced_motion="reduce") as page:
        page.click("[data-do=plain]")
        until(page, "state.settings.depth === 3")
        for seed in (1, 2, 3):
            (without, with_), _ = after(page, 300, seed=seed)
            assert without > with_ + 5, seed


@pytest.mark.browser
def test_the_still_is_what_the_page_computes(browser):
    text = PAGE.read_text("utf-8")
    written = re.search(r"without normalization (\d+)\s%, with it (\d+)\s%", text).groups()
    with opened(browser, reduced_motion="reduce") as page:
        found, _ = after(page, STILL_STEPS)
    assert [float(number) for number in written] == pytest.approx(found, abs=3)


# --- the still: the same figures, drawn by the same code, after so many steps

DRAW = """() => {
  const state = document.querySelector(".live").live.state(), {KINDS, sample, decades, layers, loss} = liveDrawing;
  const side = 40, figures = KINDS.map((kind, k) => {
    const paths = ["", ""];
    for (let row = 0; row < side; row++) {
      for (let from = 0, to; from < side; from = to) {
        const answer = (c) => Number(state.maps[k][2 * (row * side + c) + 1] > state.maps[k][2 * (row * side + c)]);
        for (to = from; to < side && answer(to) === answer(from);) to++;
        paths[answer(from)] += `M${from} ${row}h${to - from}v1H${from}z`;
      }
    }
    const {x, labels} = state.train, signs = ["", ""];
    for (let n = 0; n < 120; n++) {
      const [a, b] = [x[2 * n], -x[2 * n + 1]].map((v) => ((v / 1.1 + 1) * side / 2 - 0.6).toFixed(1));
      signs[labels[n]] += `M${a} ${b}` + ["m.6 -.1l.7 1.2h-1.4z", "l1.2 1.2m0 -1.2l-1.2 1.2"][labels[n]];
    }
    const share = Math.round(100 * state.accuracy[k][1]);
    return `<figure class="network ${kind}"><figcaption>${sample(k)} <span><b>${kind}</b> ` +
      `<span class="wide">normalization</span></span></figcaption>\\n<svg class="map" viewBox="0 0 40 40" role="img">` +
      `<title>What the network ${kind} normalization answers, point by point</title>` +
      paths.map((d, c) => `<path class="area class-${c}" d="${d}"/>`).join("") +
      signs.map((d, c) => `<path class="sign class-${c}" d="${d}"/>`).join("") +
      `</svg>\\n<p><b class="score">${share} %</b> of test points right</p></figure>`;
  });
  const titled = (svg, title) => svg.replace('aria-hidden="true">', `role="img"><title>${title}</title>`);
  const panel = (name, words, svg, title) =>
    `<figure class="chart"><figcaption>${words}</figcaption>\\n${titled(svg, title)}</figure>`;
  const small = (v) => v.toExponential(0);
  const ends = (values, k) => `without ${small(values[0].at(k))}, with ${small(values[1].at(k))}`;
  figures.push(
    panel("loss", "Loss on the training batches <i>mean of ten</i>", loss(400, 225, state.losses, 2),
      "Without normalization the loss stays at the level of guessing; with it, the loss falls."),
    panel("spread", "Forward →: spread across the batch", layers(400, 175, state.spread, decades(state.spread), 20),
      `Spread at layer 20: ${ends(state.spread, -1)}`),
    panel("gradient", "← Back: size of the gradient", layers(400, 175, state.gradient, decades(state.gradient), 20),
      `Gradient at layer 1: ${ends(state.gradient, 0)}`));
  return `<div class="view still">\\n${figures.join("\\n")}\\n</div>`;
}"""


def main() -> None:
    """Write the still into the page; say how fast the page is."""
    with chromium() as browser:
        with opened(browser, reduced_motion="reduce") as page:
            shares, _ = after(page, STILL_STEPS)
            still = page.evaluate(DRAW).replace(" %", "\u00a0%")
        without, with_ = (round(share) for share in shares)
        shown = f"without normalization {without}\u00a0%, with it {with_}\u00a0% of test points right"
        words = f"<p>After {STILL_STEPS} steps, {shown}. Where scripts run, this page computes it while you watch.</p>"
        before, rest = PAGE.read_text("utf-8").split("<!-- still -->")
        rest = rest.split("<!-- /still -->")[1]
        text = f"{before}<!-- still -->\n{still}\n{words}\n<!-- /still -->{rest}"
        PAGE.write_text(re.sub(r"[ \t]+$", "", text, flags=re.M), "utf-8")
        with opened(browser) as page:
            print(f"{steps_a_second(page):.0f} steps a second")


if __name__ == "__main__":
    main()
