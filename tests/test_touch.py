"""The things to touch: they compute what PyTorch computes, they can be used by keys alone, and they are whole."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
import torch
from page_browser import Opened
from torch import nn

from tools import touch as maker
from utils import study
from utils import touch as door
from utils.plots.style import THEMES
from utils.touch import made as touch
from utils.touch import recorded

each_thing = pytest.mark.parametrize("name", touch.THINGS)
LINES = 250  # of a source


def record(**changes) -> dict:
    """What a run leaves behind, small."""
    settings = {**study.read_plan()["defaults"], "norm": "batch"}
    made = {"arm": "bn-20", "role": "search", "rate": 0.1, "seed": 0, "epochs": 2, "loss": [2.3, 2.0, 1.8, 1.7],
            "validation": [0.3, 0.41236], "norms": [20.0, 21.04], "stopped": None, "data": "CIFAR-10"}  # fmt: skip
    return {**made, "settings": settings, **changes}


PLAN = {"defaults": study.read_plan()["defaults"], "arms": {"bn-20": {"norm": "batch"}, "he-20": {"rates": [0.01]}}}


# --- what utils/touch makes


@each_thing
def test_a_source_is_short_and_says_what_it_is(name):
    text = (touch.FOLDER / f"{name}.js").read_text("utf-8")
    assert text.startswith("/*")
    assert f'data-touch="{name}"' in text.partition("*/")[0]
    assert len(text.splitlines()) <= LINES
    assert len(touch.built(name).encode()) < 300_000


def test_a_source_without_a_place_for_the_parts_is_refused(monkeypatch, tmp_path):
    (tmp_path / "batch.js").write_text("// nothing", encoding="utf-8")
    monkeypatch.setattr(touch, "FOLDER", tmp_path)
    with pytest.raises(door.TouchError, match=r"batch\.js needs the line // HERE"):
        touch.built("batch")


@each_thing
def test_a_file_needs_nothing_else(name):
    text = touch.built(name)
    addresses = set(re.findall(r"https?://[^\"'\s)]+", text)) - {"http://www.w3.org/2000/svg"}
    assert not addresses
    assert not re.search(r"\b(fetch|import|require|XMLHttpRequest|eval|innerHTML)\b", text)
    assert "</script" not in text, "it could not be put into a page"


def test_the_colours_are_the_courses():
    for key, (light, dark) in THEMES.items():
        assert f"--{key}:light-dark({light},{dark});" in touch.stylesheet()


@each_thing
def test_a_still_is_an_svg_with_a_text_that_follows_the_theme(name):
    still = (touch.FOLDER / f"{name}.svg").read_text("utf-8")
    assert ElementTree.fromstring(still).get("aria-label") == touch.THINGS[name]
    assert "light-dark(" in still
    assert "<script" not in still
    selectors = re.findall(r"([^{}]+)\{", re.search(r"<style>(.*?)</style>", still, re.DOTALL)[1])
    each = [one.strip() for some in selectors if not some.startswith("@") for one in some.split(",")]
    assert all(one.startswith("svg.still") for one in each), "where it stands in a page, its style is the page's"


@each_thing
@pytest.mark.parametrize("inline", [False, True])
def test_a_page_embeds_it(name, inline):
    text = touch.embed(name, "../touch", inline=inline)
    assert text.startswith(f'<div class="touch" data-touch="{name}"><details>')
    assert (f'src="../touch/{name}.js"' in text) is not inline
    assert (f'<img src="../touch/{name}.svg"' in text) is not inline
    assert text.count("</script>") == 1


def test_a_cell_shows_it_and_a_deck_and_a_page_know_the_cell(capsys):
    with pytest.raises(KeyError, match="cannot be touched; there are batch, factors, axes, explorer"):
        door.touch("bach")
    door.touch("batch")
    assert "Eight values" in capsys.readouterr().out
    assert door.touched('touch("batch")\n') == "batch"
    assert door.touched('touch("batch")  # and more') is None


def test_a_record_is_thinned_and_nothing_is_added():
    table = recorded.records({"bn-20.search.0.1.0": record()}, PLAN)
    run = ["", "bn-20", "search", 0.1, 0, 2, "", [3000, 4124], [200, 4, 230, 200, 180, 170], [200, 210], None, "", 0]
    assert table["runs"] == [run]
    assert recorded.run("another", record(data="stand-in"), 2)[:9:8] == ["another", [200, 4, 230, 170]]
    assert table["arms"]["bn-20"]["kind"] == "with"
    assert table["arms"]["he-20"] == {
        "words": "20 layers, no normalization, He’s start", "kind": "without", "rates": [0.01]
    }  # fmt: skip


def test_what_stopped_says_so_and_what_is_no_number_is_none():
    steps = recorded.TRAINED_ON / study.read_plan()["defaults"]["batch"]
    why = f"Stopped: the loss is nan at step {round(steps / 2)}. Try a smaller learning rate."
    made = record(loss=[2.3, float("nan")], validation=[0.1], norms=[float("inf")], stopped=why)
    row = recorded.run("it", made, 34)
    assert recorded.trained(made) == pytest.approx(1.5, abs=0.01)
    assert row[8][1:] == [2, 230, None]
    assert row[9] == [None]
    assert row[11] == f"the loss is nan at step {round(steps / 2)}"
    assert json.loads(recorded.as_script(row)) == row


def test_many_records_are_thinned_more_and_too_many_are_refused():
    runs = {f"bn-20.search.{k}": record(loss=[2.0] * 100) for k in range(40)}
    points = [recorded.records(runs, PLAN, budget)["points"] for budget in (10**6, 5_500)]
    assert points[0] > points[1]
    assert len(recorded.as_script(recorded.records(runs, PLAN, 5_500)).encode()) <= 5_500
    with pytest.raises(door.TouchError, match="fewer runs"):
        recorded.records(runs, PLAN, 1000)


def test_an_arm_that_the_plan_has_no_longer_is_shown():
    assert "gone" in recorded.records({"gone.search": record(arm="gone")}, PLAN)["arms"]


def test_arms_have_different_words():
    found = [arm["words"] for arm in recorded.records({}, study.read_plan())["arms"].values()]
    assert len(found) > 50
    assert [text for text in found if found.count(text) > 1] == []


def test_the_recorded_networks_start_at_one_and_are_complete():
    table = json.loads((touch.FOLDER / "factors.json").read_text("utf-8"))
    assert set(table["networks"]) == {*maker.RECIPES, "normalized"}
    for depths in table["networks"].values():
        for depth in maker.DEPTHS:
            rows = depths[str(depth)]
            assert [len(row) for way in ("forward", "back") for row in rows[way]] == [depth] * 2 * table["seeds"]
            assert all(row[0] == 1 for row in rows["forward"])
            assert all(row[-1] == 1 for row in rows["back"])


@pytest.mark.data
def test_the_recorded_networks_can_be_recorded_again(monkeypatch):
    from utils.data import load

    data = load()
    table = json.loads((touch.FOLDER / "factors.json").read_text("utf-8"))
    monkeypatch.setattr(maker, "DEPTHS", (5,))
    monkeypatch.setattr(maker, "SEEDS", 1)
    for name, depths in maker.measured(data)["networks"].items():
        for way, [row] in depths[5].items():
            then = torch.tensor(table["networks"][name]["5"][way])
            ratio = torch.tensor(row) / (then[0] if not data.is_stand_in else then.median(0).values)
            assert ratio.log10().abs().max() < (0.02 if not data.is_stand_in else 0.5), (name, way)


def test_an_unknown_option_is_named(capsys):
    assert maker.main(["--still"]) == 1
    assert "--still?" in capsys.readouterr().err


# --- in a browser


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page with these things in it, from a folder and without a network; a page that fails fails the test."""
    pages = []

    def open_page(*names, width=1100, scheme="light", inline=False):
        maker.build(tmp_path)
        body = "\n".join(touch.embed(name, tmp_path.as_uri(), inline=inline) for name in names)
        path = tmp_path / f"{'-'.join(names)}.html"
        style = f"color-scheme: {scheme}; background: {THEMES['paper'][scheme == 'dark']}"
        path.write_text(f'<!doctype html><meta charset="utf-8"><body style="{style}">{body}', encoding="utf-8")
        size = {"width": width, "height": 900}
        pages.append(Opened(browser, path.as_uri(), viewport=size, reduced_motion="reduce"))
        return pages[-1].page

    yield open_page
    for page in pages:
        page.context.close()
        assert not page.asked + page.errors


def same(found, wanted: torch.Tensor) -> None:
    assert torch.allclose(torch.tensor(found, dtype=torch.float64), wanted.double().flatten(), rtol=1e-6, atol=1e-6)


def random(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (
        3 * torch.randn(shape, generator=generator, dtype=torch.float64)
        + 2 * torch.randn(1, generator=generator, dtype=torch.float64)
    )  # fmt: skip


@pytest.mark.browser
@pytest.mark.parametrize("training", [True, False])
def test_the_batch_computes_what_pytorch_computes(opened, training):
    page = opened("batch")
    for seed in range(10):
        n, (gamma, beta, mean) = 2 + seed, random(100 + seed, 3).tolist()
        x, variance, i = random(seed, n).requires_grad_(), float(random(200 + seed, 1).abs()) + 0.1, seed % (2 + seed)
        layer = nn.BatchNorm1d(1).double().train(training)
        with torch.no_grad():
            layer.weight[:], layer.bias[:], layer.running_mean[:], layer.running_var[:] = gamma, beta, mean, variance
        y = layer(x[:, None])[:, 0]
        (row,) = torch.autograd.grad(y[i], x)
        given = {"x": x.tolist(), "gamma": gamma, "beta": beta, "training": training, "i": i}
        given["running"] = {"mean": mean, "variance": variance}
        found = page.evaluate("given => touch.batch.compute(given)", given)
        same(found["y"], y.detach())
        same(found["row"], row)
        same(
            [found["running"]["mean"], found["running"]["variance"]], torch.cat([layer.running_mean, layer.running_var])
        )
        assert (sum(value != 0 for value in found["row"]) == 1) is not training


SHAPES = [(4, 6, 2, 2), (3, 4, 5, 2), (1, 2, 3, 3)]
LAYERS = {
    "batch": lambda C, H, W: nn.BatchNorm2d(C, affine=False),
    "instance": lambda C, H, W: nn.InstanceNorm2d(C),
    "group": lambda C, H, W: nn.GroupNorm(2, C, affine=False),
    "layer": lambda C, H, W: nn.LayerNorm([C, H, W], elementwise_affine=False),
    "RMS": lambda C, H, W: nn.RMSNorm([C, H, W], eps=1e-5, elementwise_affine=False),
}


@pytest.mark.browser
@pytest.mark.parametrize("kind", LAYERS)
def test_the_axes_compute_what_pytorch_computes(opened, kind):
    page = opened("axes")
    for seed, shape in enumerate(SHAPES):
        x = random(seed, *shape).requires_grad_()
        y = LAYERS[kind](*shape[1:]).double()(x)
        given = {"x": x.flatten().tolist(), "shape": shape, "kind": kind}
        same(page.evaluate("given => touch.axes.compute(given)", given), y.detach())
        cell = [shape[0] - 1, shape[1] // 2, 1]
        (reached,) = torch.autograd.grad(y[cell[0], cell[1], 0, 1], x)
        marked = page.evaluate("given => touch.axes.members(given)", {"shape": shape, "kind": kind, "cell": cell})
        assert marked == (reached != 0).flatten().tolist()


@pytest.mark.browser
def test_the_factors_are_the_formula(opened):
    page = opened("factors")
    for seed, depth in enumerate((1, 5, 20, 50)):
        sigma, n = float(random(seed, 1).abs()) / 20, float(100 + 50 * seed)
        gain = torch.tensor(sigma, dtype=torch.float64) * torch.tensor(n / 2, dtype=torch.float64).sqrt()
        powers = gain ** torch.arange(depth)
        for back, wanted in ((False, powers), (True, powers.flip(0))):
            found = page.evaluate(
                "given => touch.factors.compute(given)", {"sigma": sigma, "n": n, "depth": depth, "back": back}
            )
            same([found["factor"]], gain)
            assert torch.allclose(torch.tensor(found["curve"], dtype=torch.float64), wanted, rtol=1e-6, atol=0)
        kept = (1 - 1 / torch.tensor(torch.pi, dtype=torch.float64)).sqrt()
        found = page.evaluate("depth => touch.factors.compute({sigma: 9, depth, normalized: true, back: true})", depth)
        same(found["curve"], (1 / kept) ** torch.arange(depth).flip(0))
        same([found["kept"], found["given"]], torch.stack([kept, 1 / kept]))


@pytest.mark.browser
def test_a_relu_keeps_what_the_formula_says(opened):
    kept = opened("factors").evaluate("touch.factors.compute({sigma: 1, depth: 2}).kept")
    x = torch.randn(2_000_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (2 * torch.relu(x).var()).sqrt().item() == pytest.approx(kept, abs=2e-3)


@pytest.mark.browser
def test_the_explorer_draws_the_records_and_nothing_else(opened):
    runs = {run["name"]: run for run in opened("explorer").evaluate("touch.explorer.compute(touch.explorer.data)")}
    there = study.read_all()
    assert len(runs) > 50
    for name, run in runs.items():
        made = there[name]
        assert (study.STUDY.parent / run["file"]).exists()
        assert run["accuracies"] == pytest.approx(made["validation"], abs=1e-4)
        assert run["norms"] == pytest.approx(made["norms"], abs=0.06)
        assert run["pictures"] == ("its own" if name.startswith("resnet-20-") and "final" in name else "the held-out")
        length, many = recorded.trained(made), len(made["loss"])
        for epoch, value in run["loss"]:
            then = made["loss"][round(epoch / length * many - 0.5)]
            assert value == pytest.approx(then, abs=0.006) if then == then else value is None


@pytest.mark.browser
def test_the_batch_by_keys_alone(opened):
    page = opened("batch")
    page.evaluate("document.addEventListener('keydown', event => (window.leaked ??= []).push(event.key))")
    values = page.get_by_role("slider", name=re.compile("^picture"))
    assert values.count() == 8
    assert "comes out" not in values.nth(4).get_attribute("aria-valuetext"), "it gives the answer away"
    page.get_by_role("button", name="some sink, some rise").focus()
    page.keyboard.press("Enter")
    fifth = page.get_by_role("slider", name="picture 5")
    before = float(fifth.get_attribute("aria-valuenow"))
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert float(fifth.get_attribute("aria-valuenow")) == pytest.approx(before + 0.2)
    assert "outputs 3 rose and 4 sank" in page.locator("[aria-live]").inner_text()
    page.get_by_label("evaluation").focus()
    page.keyboard.press("Space")
    fifth.focus()
    page.keyboard.press("PageDown")
    assert "none of the other seven" in page.locator("[aria-live]").inner_text()
    page.get_by_role("button", name="another batch").focus()
    page.keyboard.press("Enter")
    assert "Remembered after 1 batch" in page.locator(".numbers").inner_text()
    page.get_by_label("γ, the width").focus()
    page.keyboard.press("ArrowLeft")
    assert page.get_by_label("γ, the width").get_attribute("aria-valuetext") == "0.9"
    assert not page.evaluate("window.leaked"), "a deck would turn its page"


@pytest.mark.browser
def test_a_value_is_dragged(opened):
    page = opened("batch")
    page.get_by_role("button", name="all seven sink").click()
    fourth = page.get_by_role("slider", name="picture 4")
    box = fourth.locator(".mark").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 40, steps=4)
    page.mouse.up()
    assert float(fourth.get_attribute("aria-valuenow")) > 3.5
    assert "Picture 4 is at" in page.locator("[aria-live]").inner_text()


@pytest.mark.browser
def test_the_factors_by_keys_alone(opened):
    page = opened("factors")
    assert page.locator("svg .line").count() == 0, "it gives the answer away"
    page.get_by_label("my guess").focus()
    page.keyboard.press("End")
    assert page.get_by_label("my guess").get_attribute("aria-valuetext") == "10¹⁰"
    page.get_by_role("button", name="look").focus()
    page.keyboard.press("Enter")
    assert "a factor of 2.30 each" in page.locator("[aria-live]").inner_text()
    assert page.locator("svg .line").count() == 1
    page.get_by_label("own σ").last.focus()
    page.keyboard.press("ArrowRight")
    assert "none was recorded at this σ" in page.locator(".numbers").inner_text()
    page.get_by_label("with normalization").focus()
    page.keyboard.press("Space")
    assert page.get_by_role("button", name="look").is_visible(), "another question, another guess"


@pytest.mark.browser
def test_the_axes_by_keys_alone(opened):
    page = opened("axes")
    assert page.locator("svg .lit").count() == 0, "it gives the answer away"
    page.get_by_role("button", name="24", exact=True).focus()
    page.keyboard.press("Enter")
    assert "24 of the 96" in page.locator("[aria-live]").first.inner_text()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("PageDown")
    assert "picture 2, channel 6, place 2" in page.locator("[aria-live]").first.inner_text()
    page.get_by_label("layer", exact=True).focus()
    page.keyboard.press("ArrowLeft")
    assert "group, picture 2, channel 6, place 2: 12 of the 96" in page.locator("[aria-live]").first.inner_text()
    page.get_by_role("button", name="it is forgotten").focus()
    page.keyboard.press("Enter")
    assert "Forgotten: of the change 0.00" in page.locator("[aria-live]").last.inner_text()


@pytest.mark.browser
def test_the_explorer_by_keys_alone(opened):
    page = opened("explorer")
    assert page.locator("svg .line").count() == 0, "it gives the answer away"
    page.get_by_role("button", name="look").focus()
    page.keyboard.press("Enter")
    assert "of the held-out pictures after epoch" in page.locator("[aria-live]").inner_text()
    assert "study/records/bn-20/bn-20.search.0.003.0.json" in page.locator("code").inner_text()
    page.locator("svg [role=button][tabindex='0']").focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    assert page.locator("code").inner_text().startswith("study/records/")
    assert "bn-20.search.0.003.0.json" not in page.locator("code").inner_text()


@pytest.mark.browser
def test_what_was_not_run_is_said_and_not_drawn(opened):
    page = opened("explorer")
    waiting = page.locator("optgroup[label='not run yet'] option").first
    if not waiting.count():
        pytest.skip("everything in the plan has been run")
    page.get_by_label("Network").select_option(waiting.get_attribute("value"))
    assert "Not run yet" in page.locator("[aria-live]").inner_text()
    assert page.locator("svg .line, svg .mark").count() == 0


OVERFLOW = "[document.documentElement.scrollWidth, innerWidth]"
OUTSIDE = """() => {
  const place = document.querySelector(".touch"), frame = place.getBoundingClientRect();
  return [...place.shadowRoot.querySelectorAll("svg text, button, label, p")].filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width && (box.left < frame.left || box.right > frame.right);
  }).map((e) => e.textContent);
}"""
CONTRAST = """() => {
  const place = document.querySelector(".touch"), canvas = new OffscreenCanvas(1, 1).getContext("2d"), low = [];
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (color) => {
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const host = getComputedStyle(place).backgroundColor;
  for (const e of place.shadowRoot.querySelectorAll("*:not(style, option)")) {
    const own = [...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !e.getBoundingClientRect().width) continue;
    const style = getComputedStyle(e), drawn = e.closest("svg"), plain = style.backgroundColor === "rgba(0, 0, 0, 0)";
    const front = light(drawn ? style.fill : style.color), back = light(drawn || plain ? host : style.backgroundColor);
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < 4.5) low.push(`${e.textContent.trim().slice(0, 30)}: ${ratio.toFixed(1)}`);
  }
  return low;
}"""


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@each_thing
def test_it_can_be_read_on_a_phone_and_in_the_dark(opened, name, scheme):
    page = opened(name, width=360, scheme=scheme)
    for text in maker.SHOWN[name]:
        page.locator(f"button:text-is('{text}'), label:text-is('{text}')").first.click()
    wide, window = page.evaluate(OVERFLOW)
    assert wide <= window
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(CONTRAST) == []
    ground = page.evaluate("getComputedStyle(document.querySelector('.touch')).backgroundColor")
    assert ground == ("rgb(254, 254, 254)" if scheme == "light" else "rgb(21, 21, 21)")


NAMELESS = """() => {
  const found = document.querySelector(".touch").shadowRoot.querySelectorAll("button, input, select, svg, [role]");
  const words = (e) => e.ariaLabel || [...(e.labels || [])].map((label) => label.textContent).join() || e.textContent;
  return [...found].filter((e) => !words(e).trim()).map((e) => e.outerHTML.slice(0, 80));
}"""


@pytest.mark.browser
@each_thing
def test_everything_has_a_name(opened, name):
    page = opened(name)
    for text in maker.SHOWN[name]:
        page.locator(f"button:text-is('{text}'), label:text-is('{text}')").first.click()
    assert page.evaluate(NAMELESS) == []
    assert page.locator("[aria-live=polite]").count() >= 1


@pytest.mark.browser
def test_all_of_them_stand_in_one_page_once_each(opened):
    page = opened(*touch.THINGS, inline=True)
    assert page.evaluate("Object.keys(touch).sort()") == sorted(touch.THINGS)
    assert page.evaluate("[...document.querySelectorAll('.touch')].every(e => e.shadowRoot.querySelector('svg'))")
    page.evaluate("touch.batch.mount(document.querySelector('.touch'))")  # twice does no harm
    assert page.locator("h3", has_text="The batch").count() == 1


@pytest.mark.browser
def test_without_scripts_there_is_a_still(browser, tmp_path):
    path = tmp_path / "page.html"
    maker.build(tmp_path)
    path.write_text(touch.embed("batch", tmp_path.as_uri()), encoding="utf-8")
    with Opened(browser, path.as_uri(), java_script_enabled=False) as opened:
        opened.page.locator("summary").click()
        box = opened.page.locator("img").bounding_box()
    assert box["width"] > 300
    assert box["height"] > 100


@pytest.mark.browser
@pytest.mark.parametrize("name", [name for name in touch.THINGS if name != "explorer"])  # which draws what is recorded
def test_the_stills_are_what_the_things_draw(browser, name):
    """Numbers apart, which another browser may round otherwise."""

    def shape(svg):
        return re.sub(r"[\d.]+", "", re.sub(r'href="data:[^"]*"', "", svg))

    assert shape((touch.FOLDER / f"{name}.svg").read_text("utf-8")) == shape(maker.still(name, browser))
