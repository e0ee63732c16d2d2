/* The batch: eight values of one channel, and what batch normalization makes of them (notebooks 02 and 04).

   A page embeds it as <div class="touch" data-touch="batch"></div> and, behind it, a script whose src is this file, or
   which holds its text.

   Plain JavaScript, without a library or a network. `window.touch.batch.compute` is what is computed, and is tested
   against PyTorch; the rest draws. Where it says HERE, utils/touch/made.py puts what all things to touch share, and the data. */
(() => {
"use strict";

// What nn.BatchNorm1d does with the n values x of one channel. `row` is ∂yᵢ/∂xⱼ for all j, `i` being the value chosen;
// `running` are the running statistics after this batch (in evaluation: as they were).
function compute({ x, gamma = 1, beta = 0, eps = 1e-5, training = true, running = { mean: 0, variance: 1 }, alpha = 0.1, i = 0 }) {
  const n = x.length;
  const mean = x.reduce((sum, value) => sum + value, 0) / n;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n;  // divided by n, as PyTorch divides
  const used = training ? { mean, variance } : running;
  const width = Math.sqrt(used.variance + eps);
  const normal = x.map((value) => (value - used.mean) / width);
  const y = normal.map((value) => gamma * value + beta);
  const own = (j) => (i === j ? 1 : 0);
  const row = normal.map((value, j) => gamma / width * (training ? own(j) - (1 + normal[i] * value) / n : own(j)));
  const after = training
    ? { mean: (1 - alpha) * running.mean + alpha * mean, variance: (1 - alpha) * running.variance + alpha * variance * n / (n - 1) }
    : { ...running };
  return { mean, variance, y, row, running: after };
}

const LOW = -4, HIGH = 8, STEP = 0.1, FIRST = [1.2, 3.1, 0.4, 2.2, 4.6, 1.7, 2.8, 3.6];

function build(section, again) {
  let x = [...FIRST], gamma = 1, beta = 0, training = true, running = { mean: 0, variance: 1 }, seen = 0, chosen = 4, guess = null, seed = 5;
  const svg = draw("svg", { role: "group", "aria-label": "the eight values, what comes out, and who depends on whom" });
  const said = make("p", { class: "said", "aria-live": "polite" }), numbers = make("p", { class: "numbers" });
  const now = (values = x) => compute({ x: values, gamma, beta, training, running, i: chosen });

  function random() {  // the same numbers each time: a page that is opened twice shows the same
    seed = (1103515245 * seed + 12345) % 2147483648;
    return (seed + 0.5) / 2147483648;
  }
  function anotherBatch() {
    x = x.map(() => 2.2 + 1.4 * Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random()))
      .map((value) => Math.round(10 * Math.min(HIGH, Math.max(LOW, value))) / 10);
    running = compute({ x, training: true, running }).running;
    seen += 1;
  }
  function move(i, value) {
    const before = now(), old = x[i];
    x = x.map((v, j) => (j === i ? Math.round(10 * Math.min(HIGH, Math.max(LOW, value))) / 10 : v));
    chosen = i;
    if (x[i] !== old && guess) {
      const changes = now().y.map((y, j) => (j === i ? 0 : y - before.y[j]));
      const rose = changes.filter((change) => change > 1e-9).length, sank = changes.filter((change) => change < -1e-9).length;
      const others = rose + sank ? `of the other seven outputs ${rose} rose and ${sank} sank` : "none of the other seven outputs moved";
      said.textContent = `Picture ${i + 1} is at ${fixed(x[i], 1)}: ${others}.`;
    }
    again();
  }
  const keys = (i) => (event) => {
    const by = { ArrowUp: STEP, ArrowRight: STEP, ArrowDown: -STEP, ArrowLeft: -STEP, PageUp: 1, PageDown: -1, Home: LOW - x[i], End: HIGH - x[i] }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    move(i, x[i] + by);
  };

  const question = make("div", { class: "guess", role: "group", "aria-label": "your guess" },
    make("p", {}, "Picture 5 is about to become brighter; the other seven stay as they are. What will the normalization put out for those seven?"),
    make("div", { class: "answers" }, ["the same as before", "all seven sink", "some sink, some rise"].map((text) => button(text, () => answer(text)))));
  function answer(text) {
    guess = text;
    question.hidden = true;
    controls.hidden = false;
    said.textContent = `Your guess: ${text}. Now raise picture 5, a little and then a lot.`;
    again();
    svg.querySelector('[data-key="value-4"]').focus();
  }
  const sliders = [
    slider("γ, the width", { min: -2, max: 2, step: 0.1, value: 1, say: (v) => fixed(v, 1) }, (value) => { gamma = value; again(); }),
    slider("β, the place", { min: -2, max: 2, step: 0.1, value: 0, say: (v) => fixed(v, 1) }, (value) => { beta = value; again(); }),
  ];
  const batches = (count) => () => {
    for (let k = 0; k < count; k++) anotherBatch();
    said.textContent = `${count === 1 ? "Another batch has" : `${count} more batches have`} gone through in training. Running mean ${fixed(running.mean)}, variance ${fixed(running.variance)}.`;
    again();
  };
  const controls = make("div", { hidden: true }, make("div", { class: "row" },
    choice("Mode", [["training", "training"], ["evaluation", "evaluation"]], "training", (mode) => {
      training = mode === "training";
      said.textContent = training ? "In training: by the mean and the variance of this batch." : `In evaluation: by what is remembered of ${seen} ${seen === 1 ? "batch" : "batches"}.`;
      again();
    }),
    sliders.map((each) => each.element),
    make("div", { class: "row" }, button("another batch", batches(1)), button("twenty more", batches(20)))));
  section.setAttribute("aria-label", "The batch, something to touch");
  section.append(make("h3", {}, "The batch"),
    make("p", {}, "One channel of eight pictures, one value each: how bright they are. Drag a value up or down, or choose it and use the arrow keys."),
    svg, question, said, numbers, controls);

  let dragged = null, toValue = null;
  svg.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest("[data-value]");
    if (!handle) return;
    event.preventDefault();
    dragged = Number(handle.dataset.value);
    svg.setPointerCapture(event.pointerId);
    svg.querySelector(`[data-key="value-${dragged}"]`)?.focus();
    if (chosen !== dragged) move(dragged, x[dragged]);
  });
  svg.addEventListener("pointermove", (event) => {
    if (dragged === null) return;
    const place = svg.getBoundingClientRect();
    move(dragged, toValue((event.clientY - place.top) * svg.viewBox.baseVal.height / place.height));
  });
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { dragged = null; });

  return (width, em) => {
    const found = now(), narrow = width < 44 * em, columns = narrow ? 1 : 3, left = 2.4 * em, right = 1.2 * em, gap = 0.6 * em;
    const high = (narrow ? 11 : 14) * em, wide = (width - gap * (columns - 1)) / columns - left - right, tile = Math.min(wide / 8 - 4, 2.4 * em);
    const each = high + 4.6 * em + tile;
    const at = (k) => (narrow ? [left, 2 * em + k * each, wide, high] : [left + k * (wide + left + right + gap), 2 * em, wide, high]);
    const eight = { from: 0.5, to: 8.5, ticks: [1, 2, 3, 4, 5, 6, 7, 8], say: String, grid: false };
    const signs = (ticks, digits = 0) => ({ ticks, say: (value) => fixed(value, digits) });
    const level = (p, value, text, look, line = "line") => [
      rule(p.x(0.5), p.y(value), p.x(8.5), p.y(value), `${line} ${look}`), words(p.x(8.5) + 0.3 * em, p.y(value) + 0.3 * em, text, `strong ${look.split(" ")[0]}`, "start")];
    const clipped = (p, value, low, high2) => p.y(Math.min(high2, Math.max(low, value)));

    // what goes in
    const a = panel(at(0), em, { title: "what goes in: x", x: eight, y: { from: LOW, to: HIGH, ...signs([-4, -2, 0, 2, 4, 6, 8]) } });
    toValue = linear(a.y(LOW), a.y(HIGH), LOW, HIGH);
    const used = training ? { mean: found.mean, variance: found.variance } : running, sd = Math.sqrt(used.variance);
    const band = [clipped(a, used.mean + sd, LOW, HIGH), clipped(a, used.mean - sd, LOW, HIGH)];
    const shown = [a.parts, draw("rect", { x: a.x(0.5), y: band[0], width: a.x(8.5) - a.x(0.5), height: band[1] - band[0], class: "band with" }),
      level(a, used.mean, training ? "μ" : "r", training ? "with" : "with running"),
      x.map((value, i) => draw("g", { class: "drag", tabindex: 0, role: "slider", "data-key": `value-${i}`, "data-value": i, "aria-label": `picture ${i + 1}`,
        "aria-orientation": "vertical", "aria-valuemin": LOW, "aria-valuemax": HIGH, "aria-valuenow": value, "aria-valuetext": `${fixed(value, 1)} goes in${guess ? `, ${fixed(found.y[i])} comes out` : ""}`,
        onkeydown: keys(i), onfocus: () => { if (chosen !== i) { chosen = i; again(); } } },
      draw("rect", { x: a.x(i + 0.55), y: a.y(HIGH), width: a.x(1.9) - a.x(1), height: high, fill: "transparent" }),
      draw("path", { class: "ring", d: SHAPES.o(0.95 * em), transform: `translate(${a.x(i + 1)} ${a.y(value)})` }),
      i === chosen ? draw("path", { class: "thin plain", d: SHAPES.o(0.68 * em), transform: `translate(${a.x(i + 1)} ${a.y(value)})` }) : null,
      marker("o", a.x(i + 1), a.y(value), 0.45 * em, "mark without")))];
    const pictures = (p, values, low, high2) => values.map((value, i) => {
      const light = Math.min(1, Math.max(0, (value - low) / (high2 - low))), grey = (k) => `hsl(0 0% ${Math.round(100 * Math.min(1, light * k))}%)`;
      const corner = p.x(i + 1) - tile / 2, top = p.y.bottom;
      return draw("g", { transform: `translate(${corner.toFixed(1)} ${top.toFixed(1)}) scale(${(tile / 24).toFixed(4)})` },
        draw("rect", { width: 24, height: 24, fill: grey(0.8) }), draw("circle", { cx: 17, cy: 7, r: 3.4, fill: grey(1.15) }),
        draw("path", { d: "M0 17L8 9L15 16L19 13L24 18V24H0z", fill: grey(0.42) }), draw("rect", { width: 24, height: 24, class: "thin plain" }));
    });
    a.y.bottom = at(0)[1] + high + 1.7 * em;
    shown.push(pictures(a, x, LOW, HIGH));

    if (guess) {
      const b = panel(at(1), em, { title: "what comes out: y", x: eight, y: { from: -4, to: 4, ...signs([-4, -2, 0, 2, 4]) } });
      b.y.bottom = at(1)[1] + high + 1.7 * em;
      shown.push(b.parts, level(b, beta, "β", "theory", "thin"), found.y.map((value, i) => {
        const place = clipped(b, value, -4, 4), out = Math.abs(value) > 4;
        return [i === chosen ? draw("path", { class: "thin plain", d: SHAPES.o(0.75 * em), transform: `translate(${b.x(i + 1)} ${place})` }) : null,
          marker(out ? (value > 0 ? "^" : "v") : "s", b.x(i + 1), place, 0.42 * em, "mark with"),
          out ? words(b.x(i + 1), place + (value > 0 ? 1.5 : -0.8) * em, fixed(value, 1), "halo") : null];
      }), pictures(b, found.y, -4, 4));
      const most = Math.max(0.1, ...found.row.map(Math.abs)), unit = [0.1, 0.2, 0.5, 1, 2, 5, 10].find((step) => step * 2 >= most) || 100;
      const c = panel(at(2), em, { title: `who moves y${"₁₂₃₄₅₆₇₈"[chosen]}?  ∂y${"₁₂₃₄₅₆₇₈"[chosen]}/∂xⱼ`, x: eight,
        y: { from: -2.3 * unit, to: 2.3 * unit, ...signs([-2, -1, 0, 1, 2].map((k) => k * unit), unit < 1 ? 1 : 0) } });
      shown.push(c.parts, rule(c.x(0.5), c.y(0), c.x(8.5), c.y(0), "axis"), found.row.map((value, j) => value === 0 ? null : [
        draw("rect", { x: c.x(j + 0.68), width: c.x(1.64) - c.x(1), y: Math.min(c.y(0), c.y(value)), height: Math.abs(c.y(0) - c.y(value)), class: "mark with" }),
        words(c.x(j + 1), c.y(value) + (value > 0 ? -0.35 : 1) * em, fixed(value), "halo")]),
      words(at(2)[0] + wide / 2, at(2)[1] + high + 2.4 * em, "j, the value that moves"));
    } else if (!narrow) {
      for (const k of [1, 2]) {
        const [l, t, w, h] = at(k);
        shown.push(draw("rect", { x: l, y: t, width: w, height: h, class: "veil", rx: 6 }), words(l + w / 2, t + h / 2, k === 1 ? "what comes out?" : "who moves whom?", "title"));
      }
    }
    paint(svg, width, guess && narrow ? 3 * each : each + 0.4 * em, shown);
    numbers.textContent = `Of this batch: μ = ${fixed(found.mean)}, σ = ${fixed(Math.sqrt(found.variance))}.`
      + (guess ? ` Remembered after ${seen} ${seen === 1 ? "batch" : "batches"}, α = 0.1: mean r = ${fixed(running.mean)}, variance ${fixed(running.variance)}.` : "");
  };
}

// HERE: touch.css, parts.js and the data

start("batch", build, { compute });
})();
