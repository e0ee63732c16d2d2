/* The explorer: every run of the study that was recorded (notebooks 03 and 10).

   A page embeds it as <div class="touch" data-touch="explorer"></div> and, behind it, a script whose src is this file,
   or which holds its text.

   Plain JavaScript, without a library or a network. It draws what stands in study/records and nothing else; utils/touch/recorded.py
   thins the records and puts them between the markers below, with what is the same in all things to touch. */
(() => {
"use strict";

const ROLES = { search: "search", final: "final run", twice: "twice the epochs" };
const SHAPE_OF = { without: "o", with: "s", other: "X" };

// The records in words: from the rows that utils/touch/recorded.py writes to runs with shares, losses and norms.
function compute(data) {
  const share = (value) => (value === null ? null : value / 1e4);
  return data.runs.map(([own, arm, role, rate, seed, epochs, source, accuracies, [span, many, ...loss], norms, test, stopped, learnedAll]) => {
    const name = own || `${arm}.${role}.${rate}.${seed}`, at = (i) => Math.floor(i * (many - 1) / Math.max(1, loss.length - 1) + 0.5);
    return {
      name, arm, role, rate, seed, epochs, stopped, pictures: learnedAll ? "its own" : "the held-out", source: source || "CIFAR-10", kind: data.arms[arm].kind, file: `study/records/${arm}/${name}.json`,
      accuracies: accuracies.map(share), test: share(test), norms: norms.map((value) => (value === null ? null : value / 10)),
      loss: loss.map((value, i) => [span / 100 * (at(i) + 0.5) / many, value === null ? null : value / 100]),  // each a mean of a part
    };
  });
}
const last = (run) => [...run.accuracies].reverse().find((value) => value !== null);

function build(section, again) {
  const runs = compute(DATA), arms = Object.keys(DATA.arms), ran = (arm) => runs.filter((run) => run.arm === arm);
  const percent = (value) => `${fixed(100 * value, 1)} %`;
  let arm = arms.find((name) => name === "bn-20" && ran(name).length) || arms.find((name) => ran(name).length) || arms[0];
  let rate = null, chosen = null, guess = 0.3;
  const looked = new Map(), about = () => `${arm} ${rate}`, open = () => looked.has(about()), guessed = () => (open() ? looked.get(about()) : guess);
  const curves = draw("svg", { role: "img" }), dots = draw("svg", { role: "group", "aria-label": "every recorded run as a dot; arrow keys move, Enter chooses" });
  const said = make("p", { class: "said", "aria-live": "polite" }), source = make("p"), numbers = make("details"), rates = make("div");

  const option = (name) => make("option", { value: name, selected: name === arm }, DATA.arms[name].words);
  const select = make("select", { onchange: () => pick(select.value) },
    make("optgroup", { label: "recorded" }, arms.filter((name) => ran(name).length).map(option)),
    make("optgroup", { label: "not run yet" }, arms.filter((name) => !ran(name).length).map(option)));
  const ratesOf = (name) => [...new Set([...DATA.arms[name].rates, ...ran(name).map((run) => run.rate)])].sort((a, b) => a - b);
  const first = (name, at) => runs.filter((run) => run.arm === name && run.rate === at).sort((a, b) => "stf".indexOf(b.role[0]) - "stf".indexOf(a.role[0]) || a.seed - b.seed)[0];
  function pick(name, at, run) {
    arm = name; select.value = name;
    const known = ratesOf(name);
    rate = known.includes(at) ? at : known.find((value) => first(name, value)) ?? known[0] ?? null;
    chosen = run || first(arm, rate) || null;
    rates.replaceChildren(known.length ? choice("Learning rate", known.map((value) => [value, first(name, value) ? String(value) : `${value}, not run yet`]), rate, (value) => {
      rate = value; chosen = first(arm, rate) || null; tell(); again();
    }) : make("p", {}, "Its rate is another arm’s best one, which is not known yet."));
    tell(); again();
  }
  const howGood = slider("my guess", { min: 0, max: 1, step: 0.01, value: guess, say: (value) => `${Math.round(100 * value)} %` }, (value) => { guess = value; again(); });
  const asked = make("p"), question = make("div", { class: "guess", role: "group", "aria-label": "your guess" }, asked, make("div", { class: "row" }, howGood.element,
    button("look", () => { looked.set(about(), guess); tell(); again(); said.tabIndex = -1; said.focus(); }, "first")));
  function show(run) {
    const key = `${run.arm} ${run.rate}`;
    if (!looked.has(key)) looked.set(key, null);  // seen without a guess
    pick(run.arm, run.rate, run);
    dots.querySelector(`[data-key="${run.name}"]`)?.focus();
  }
  function tell() {
    source.replaceChildren(); numbers.replaceChildren();
    if (!chosen) { said.textContent = "Not run yet: the plan has it, and there is no record. Nothing is drawn."; return; }
    if (!open()) { said.textContent = ""; return; }
    const run = chosen, end = last(run);
    said.textContent = `${ROLES[run.role]}, rate ${run.rate}, seed ${run.seed}: ${end === undefined ? "no accuracy was recorded" : `${percent(end)} of ${run.pictures} pictures after epoch ${run.accuracies.length}`}`
      + `${run.test === null ? "" : `, ${percent(run.test)} of the test pictures`}.${run.stopped ? ` It stopped in epoch ${run.accuracies.length + 1}: ${run.stopped}.` : ""}${guessed() === null ? "" : ` Your guess, the star, was ${Math.round(100 * guessed())} %.`}`;
    source.append("The record: ", make("code", {}, run.file), `, on ${run.source}; the loss is thinned to ${run.loss.length} points.`);
    numbers.append(make("summary", {}, "The run in numbers"), make("table", {},
      make("tr", {}, ["epoch", `accuracy on ${run.pictures} pictures`, "‖W‖"].map((text) => make("th", { scope: "col" }, text))),
      run.accuracies.map((value, k) => make("tr", {}, [k + 1, value === null ? "no number" : percent(value), run.norms[k] === null || run.norms[k] === undefined ? "no number" : fixed(run.norms[k], 1)].map((text) => make("td", {}, String(text)))))));
  }
  const key = make("p", {}, "Round: without normalization. Square: with batch normalization. Cross: otherwise. Filled: the network chosen above. Choose a dot to see its run.");
  const all = make("h3", {}, "Every run that was recorded");
  section.setAttribute("aria-label", "The explorer, something to touch");
  section.append(make("h3", {}, "The explorer"),
    make("p", {}, "Small networks, trained for some minutes each, a file a run. Choose one, say how good it will be, and look."),
    make("div", { class: "row" }, make("label", { class: "field" }, make("span", {}, "Network"), select), rates), question, curves, said, source, numbers, all,
    key, dots);
  all.style.marginTop = ".6em";

  // Pieces of a curve: what is not a number leaves a gap.
  const pieces = (points) => points.reduce((found, point) => (point[1] === null ? [...found, []] : [...found.slice(0, -1), [...found.at(-1), point]]), [[]]).filter((piece) => piece.length);
  function panels(width, em) {
    const narrow = width < 44 * em, run = open() ? chosen : null, left = 3.5 * em, high = (narrow ? 11 : 13) * em, each = high + 5 * em;
    const wide = narrow ? width - left - 0.6 * em : (width - 2 * em) / 3 - left, at = (k) => (narrow ? [left, 2 * em + k * each, wide, high] : [left + k * (wide + left + em), 2 * em, wide, high]);
    const epochs = chosen ? chosen.epochs : 10, shown = [];
    const x = { from: 0, to: epochs * 1.04, ticks: [0, 0.5, 1].map((share) => Math.round(share * epochs)), say: String }, look = chosen?.kind || "plain";
    const drawn = (p, points) => [pieces(points).map((piece) => path(piece.map(([a, b]) => [p.x(a), p.y(b)]), `line ${look}`))];
    const marks = (p, points) => points.filter(([, value]) => value !== null).map(([a, b]) => marker(SHAPE_OF[look], p.x(a), p.y(b), 0.3 * em, `mark ${look}`));
    const a = panel(at(0), em, { title: chosen?.pictures === "its own" ? "accuracy, own pictures" : "held-out accuracy", x, xlabel: "epoch", y: { from: 0, to: 1, ticks: [0, 0.25, 0.5, 0.75, 1], say: (v) => `${Math.round(100 * v)} %` } });
    shown.push(a.parts, rule(a.x(0), a.y(0.1), a.x(epochs), a.y(0.1), "thin theory"), words(a.x(epochs), a.y(0.1) - 0.35 * em, "guessing", "theory halo", "end"));
    if (run) {
      const points = run.accuracies.map((value, k) => [k + 1, value]);
      shown.push(drawn(a, points), marks(a, points));
      const top = Math.max(...run.loss.map(([, value]) => value ?? 0)), many = Math.min(5, Math.max(3, Math.ceil(top)));
      const b = panel(at(1), em, { title: "loss", x, xlabel: "epoch", y: { from: 0, to: many, ticks: Array.from({ length: many + 1 }, (_, k) => k), say: String } });
      const out = run.loss.find(([, value]) => value > many);
      shown.push(b.parts, drawn(b, run.loss.map(([epoch, value]) => [epoch, value === null ? null : Math.min(many, value)])),
        out ? words(b.x(out[0]) + 0.6 * em, b.y(many) + 1.1 * em, `over ${many}`, `halo ${look}`, "start") : null);
      const most = Math.max(1, ...run.norms.map((value) => value ?? 0)), by = 10 ** Math.floor(Math.log10(most)) * (most / 10 ** Math.floor(Math.log10(most)) < 4 ? 1 : 2), steps = Math.ceil(most / by);
      const c = panel(at(2), em, { title: "norm of all weights, ‖W‖", x, xlabel: "epoch", y: { from: 0, to: steps * by, ticks: Array.from({ length: steps + 1 }, (_, k) => k * by), say: String } });
      const norms = run.norms.map((value, k) => [k + 1, value]);
      shown.push(c.parts, drawn(c, norms), marks(c, norms));
    } else if (!narrow) {
      for (const [k, text] of [[1, "loss"], [2, "‖W‖"]]) {
        const [l, t, w, h] = at(k);
        shown.push(draw("rect", { x: l, y: t, width: w, height: h, class: "veil", rx: 6 }), words(l + w / 2, t + h / 2, chosen ? `${text}?` : `${text}: not run yet`, "title"));
      }
    }
    if (chosen && guessed() !== null) shown.push(draw("path", { class: "hollow plain", d: SHAPES.star(0.7 * em), transform: `translate(${a.x(epochs)} ${a.y(guessed())})` }), run ? null : words(a.x(epochs) - em, a.y(guess) - 0.5 * em, "my guess", "halo", "end"));
    paint(curves, width, run && narrow ? 3 * each : each, shown);
    curves.setAttribute("aria-label", run ? `Accuracy, loss and norm of the weights over ${epochs} epochs; the numbers are under “The run in numbers”.` : "An empty axis of accuracy over the epochs.");
  }
  function everyRun(width, em) {
    const known = [...new Set(runs.map((run) => run.rate))].map(Math.log10), from = Math.min(...known, -2) - 0.3, to = Math.max(...known, 0) + 0.3, high = 15 * em;
    const ticks = Array.from({ length: 9 }, (_, k) => k - 5).filter((k) => k > from && k < to);
    const p = panel([3.5 * em, 1.4 * em, width - 4.1 * em, high], em, { x: { from, to, ticks, say: (k) => String(Number((10 ** k).toPrecision(1))) }, xlabel: "learning rate",
      y: { from: 0, to: 1, ticks: [0, 0.25, 0.5, 0.75, 1], say: (v) => `${Math.round(100 * v)} %` } });
    const order = [...runs].sort((a, b) => a.rate - b.rate || a.arm.localeCompare(b.arm) || a.name.localeCompare(b.name)), current = Math.max(0, order.findIndex((run) => run === chosen));
    const place = (run) => [p.x(Math.log10(run.rate) + { without: -0.05, with: 0, other: 0.05 }[run.kind] + (arms.indexOf(run.arm) % 7 - 3) * 0.012 + (run.seed % 10 - 2) * 0.008), p.y(last(run) ?? 0)];
    const keys = (k) => (event) => {
      const to2 = { ArrowRight: k + 1, ArrowUp: k + 1, ArrowLeft: k - 1, ArrowDown: k - 1, Home: 0, End: order.length - 1 }[event.key];
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); show(order[k]); }
      if (to2 === undefined) return;
      event.preventDefault();
      dots.querySelector(`[data-key="${order[(to2 + order.length) % order.length].name}"]`).focus();
    };
    paint(dots, width, high + 4.4 * em, p.parts, order.map((run, k) => {
      const [x, y] = place(run), mine = run.arm === arm;
      return draw("g", { role: "button", tabindex: k === current ? 0 : -1, "data-key": run.name, "aria-pressed": String(run === chosen), onclick: () => show(run), onkeydown: keys(k),
        "aria-label": `${DATA.arms[run.arm].words}, ${ROLES[run.role]}, rate ${run.rate}, seed ${run.seed}: ${last(run) === undefined ? "no accuracy" : percent(last(run))}${run.stopped ? ", stopped" : ""}` },
      marker("o", x, y, 0.55 * em, "clear"), marker(SHAPE_OF[run.kind], x, y, (mine ? 0.36 : 0.24) * em, `${mine && !run.stopped ? "mark" : "hollow"} ${run.kind}`),
      mine && run.stopped ? words(x, y + 2 * em, "stopped", `halo ${run.kind}`) : null,
      run === chosen ? draw("path", { class: "thin plain", d: SHAPES.o(0.7 * em), transform: `translate(${x} ${y})` }) : null,
      draw("path", { class: "ring", d: SHAPES.o(0.95 * em), transform: `translate(${x} ${y})` }));
    }));
  }
  queueMicrotask(() => pick(arm));
  return (width, em) => {
    question.hidden = !chosen || open();
    asked.textContent = chosen ? `${DATA.arms[arm].words[0].toUpperCase()}${DATA.arms[arm].words.slice(1)}, rate ${rate}: how many of ${chosen.pictures} pictures will it get right after ${chosen.epochs} epochs?` : "";
    all.hidden = key.hidden = !open(); dots.toggleAttribute("hidden", !open()); numbers.hidden = !open() || !chosen; source.hidden = !chosen;
    panels(width, em);
    if (open()) everyRun(width, em);
  };
}

// HERE: touch.css, parts.js and the data

start("explorer", build, { compute, get data() { return DATA; } });
})();
