/* Twenty factors: what a layer's factor becomes when it is taken twenty times (notebook 01, and 08 with normalization).

   A page embeds it as <div class="touch" data-touch="factors"></div> and, behind it, a script whose src is this file, or
   which holds its text.

   Plain JavaScript, without a library or a network. `window.touch.factors.compute` is the arithmetic, tested against
   PyTorch; the networks beside it were recorded as notebook 01 records them (factors.json, by tools/touch.py). What
   stands between the markers below is the same in all things to touch. */
(() => {
"use strict";

const PLACES = 32 * (46 / 16) ** 2;  // inputs of a 3 × 3 convolution of 32 channels that are not padding, on 16 × 16 places
const KEPT = Math.sqrt(1 - 1 / Math.PI);  // what a ReLU keeps of the difference of two unlike pictures

// The factor of a layer, and what `depth` layers make of a signal that starts as 1: forward from the first layer's
// output to the last one's, back from the last one's to the first one's. With normalization σ drops out.
function compute({ sigma, n = PLACES, depth, normalized = false, back = false }) {
  const factor = normalized ? (back ? 1 / KEPT : 1) : sigma * Math.sqrt(n / 2);
  const curve = Array.from({ length: depth }, (_, k) => factor ** (back ? depth - 1 - k : k));
  return { factor, curve, kept: KEPT, given: 1 / KEPT };
}

const SIGMAS = { default: 1 / Math.sqrt(3 * 288), He: Math.sqrt(2 / 288), own: 0.2 };
const LOOKS = { default: ["without", "o"], He: ["without-pale", "v"], "0.2": ["without-deep", "^"], normalized: ["with", "s"] };
const NAMES = { default: "default", He: "He", "0.2": "σ = 0.2", normalized: "normalized" };

function build(section, again) {
  let recipe = "own", own = 0.2, depth = 20, back = false, normalized = false, guess = 0;
  const looked = new Map(), about = () => `${back ? "back" : "forward"}, ${normalized ? "normalized" : "plain"}`;
  const sigma = () => (recipe === "own" ? own : SIGMAS[recipe]);
  const svg = draw("svg", { role: "img" });
  const said = make("p", { class: "said", "aria-live": "polite" }), why = make("p", { class: "numbers" });
  const power = (value) => (value === 0 ? "1" : `10${[..."" + value].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] || "⁻").join("")}`);
  const asPower = (value) => {
    if (value >= 0.01 && value < 1000) return fixed(value, value < 10 ? 2 : 0);
    const exponent = Math.floor(Math.log10(value));
    return `${fixed(value / 10 ** exponent, 1)} · ${power(exponent)}`;
  };
  const exact = (value) => (value === 1 ? "1" : asPower(value));

  const howFar = slider("my guess, a power of ten", { min: -24, max: 24, step: 1, value: 0, say: power }, (value) => { guess = value; again(); });
  const asked = make("p");
  const question = make("div", { class: "guess", role: "group", "aria-label": "your guess" }, asked, make("div", { class: "row" }, howFar.element,
    button("look", () => { looked.set(about(), guess); again(); tell(); howFar.input.blur(); controls.querySelector("input").focus(); }, "first")));
  function tell() {
    if (!looked.has(about())) { said.textContent = ""; return; }
    const found = compute({ sigma: sigma(), depth, normalized, back });
    said.textContent = `${depth} layers, a factor of ${fixed(found.factor)} each: ${back ? "of a gradient of 1 at the last layer, the first one gets" : "of a spread of 1 behind the first layer, the last one has"} ${exact(found.curve[back ? 0 : depth - 1])}. Your guess, the star, was ${power(looked.get(about()))}.`;
  }
  const change = (set) => (value) => { set(value); tell(); again(); };
  const ownSigma = slider("own σ", { min: 0.03, max: 0.25, step: 0.001, value: own, say: (v) => fixed(v, 3) },
    change((value) => { own = value; recipe = "own"; recipes.querySelector('[value="own"]').checked = true; }));
  const recipes = choice("Weights", [["default", "default"], ["He", "He’s start"], ["own", "own σ"]], recipe, change((value) => { recipe = value; }));
  const controls = make("div", { class: "row" },
    choice("Layers", [[5, "5"], [20, "20"], [50, "50"]], depth, change((value) => { depth = value; })),
    choice("Direction", [[false, "forward"], [true, "back"]], back, change((value) => { back = value; })),
    make("label", { class: "check" }, make("input", { type: "checkbox", onchange: (event) => change((value) => { normalized = value; })(event.target.checked) }), "with normalization"));
  section.setAttribute("aria-label", "Twenty factors, something to touch");
  section.append(make("h3", {}, "Twenty factors"),
    make("p", {}, "A stack of convolutions, each followed by ReLU. Every layer multiplies what tells two pictures apart by about the same number. Choose the weights, and follow it through."),
    make("div", { class: "row" }, recipes, ownSigma.element), controls, question, svg, said, why);

  return (width, em) => {
    const open = looked.has(about()), high = 19 * em, right = 6.6 * em, left = 3.2 * em;
    const limit = { 5: 3, 20: 10, 50: 24 }[depth], step = { 5: 1, 20: 2, 50: 6 }[depth];
    question.hidden = open;
    howFar.input.min = -limit; howFar.input.max = limit;
    const within = (power) => Math.max(-limit, Math.min(limit, power)), mine = open ? looked.get(about()) : (guess = within(guess));
    if (!open) howFar.set(guess);
    asked.textContent = back
      ? `The gradient is 1 at the last of ${depth} ${normalized ? "normalized " : ""}layers${normalized ? "" : `, σ = ${fixed(sigma(), 3)}`}. How large is it at the first?`
      : `The spread is 1 behind the first of ${depth} ${normalized ? "normalized " : ""}layers${normalized ? "" : `, σ = ${fixed(sigma(), 3)}`}. How large is it behind the last?`;
    const ticks = Array.from({ length: 2 * limit + 1 }, (_, k) => k - limit).filter((k) => k % step === 0);
    const layers = { 5: [1, 2, 3, 4, 5], 20: [1, 5, 10, 15, 20], 50: [1, 10, 20, 30, 40, 50] }[depth];
    const p = panel([left, 2 * em, width - left - right, high], em, { x: { from: 1 - 0.04 * depth, to: 1.02 * depth, ticks: layers, say: String },
      y: { from: -limit, to: limit, ticks, say: power }, xlabel: back ? "← layer" : "layer →",
      title: back ? "gradient, last layer = 1" : `spread${width < 30 * em ? "" : " across images"}, first layer = 1` });
    const inside = (value) => Math.max(-limit, Math.min(limit, value)), log = (value) => inside(Math.log10(value)), shown = [p.parts];
    const labels = [];
    if (open) {
      const found = compute({ sigma: sigma(), depth, normalized, back });
      const chosen = normalized ? "normalized" : recipe === "own" ? (Math.abs(own - 0.2) < 1e-9 ? "0.2" : null) : recipe;
      for (const name of normalized ? [...new Set([recipe === "own" ? "0.2" : recipe, "normalized"])] : ["default", "0.2", "He"]) {
        const [look, shape] = LOOKS[name], rows = DATA.networks[name][depth][back ? "back" : "forward"];
        const middle = rows[0].map((_, k) => rows.map((row) => row[k]).sort((a, b) => a - b)[1]);
        const main = name === chosen, points = middle.map((value, k) => [p.x(k + 1), p.y(log(value))]);
        const edge = (pick) => rows[0].map((_, k) => [p.x(k + 1), p.y(log(pick(...rows.map((row) => row[k]))))]);
        shown.push(path([...edge(Math.max), ...edge(Math.min).reverse()], `band ${look}`), path(points, `${main ? "line" : "thin"} ${look}`),
          points.filter((_, k) => layers.includes(k + 1)).map(([x, y]) => marker(shape, x, y, (main ? 0.36 : 0.27) * em, `mark ${look}`)));
        labels.push([points[depth - 1][1], NAMES[name], `${main ? "strong " : ""}${look}`]);
      }
      shown.push(path(found.curve.map((value, k) => [p.x(k + 1), p.y(log(value))]), "thin theory"));
      labels.sort((a, b) => a[0] - b[0]);
      for (let i = 1; i < labels.length; i++) labels[i][0] = Math.max(labels[i][0], labels[i - 1][0] + 1.15 * em);
      shown.push(labels.map(([y, text, look]) => words(width - right + 0.5 * em, y + 0.3 * em, text, look, "start")));
    }
    const [x, y] = [p.x(back ? 1 : depth), p.y(within(mine))];
    shown.push(draw("path", { class: "hollow plain", d: SHAPES.star(0.7 * em), transform: `translate(${x} ${y})` }),
      open ? null : words(x + (back ? 1 : -1) * em, y - 0.6 * em, "my guess", "halo", back ? "start" : "end"));
    paint(svg, width, high + 4.6 * em, shown);
    svg.setAttribute("aria-label", open ? `Logarithmic axis over ${depth} layers: the recorded networks, the arithmetic as a thin grey line, your guess as a star.` : `An empty logarithmic axis over ${depth} layers, and your guess of ${power(mine)} as a star.`);
    why.textContent = !open ? "" : normalized
      ? `A layer’s ReLU takes: of two unlike pictures, × √(1 − 1/π) ≈ ${fixed(KEPT)} of the difference is left. The normalization gives it back: × ${fixed(1 / KEPT)}. ${back ? "The gradient on its way back has only the second." : "Forward, the two make 1, whatever σ is."} Recorded: He’s start.`
      : `Grey: (σ √(n/2)) to the power of the layers, here (${fixed(sigma(), 3)} · √(${fixed(PLACES, 1)} / 2)) = ${fixed(sigma() * Math.sqrt(PLACES / 2))} a layer. In colour: networks that were recorded, three seeds each, with ${DATA.data === "CIFAR-10" ? "pictures of CIFAR-10" : "the stand-in’s pictures"}${recipe === "own" && Math.abs(own - 0.2) > 1e-9 ? "; none was recorded at this σ" : ""}.`;
  };
}

// HERE: touch.css, parts.js and the data

start("factors", build, { compute });
})();
