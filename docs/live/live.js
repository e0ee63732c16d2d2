/* Two networks that learn in the page, one with batch normalization and one without, from the same weights, on the same
   batches. To embed, with live.css (what stands in the place is what one sees where there are no scripts):

     <div class="live">…</div>
     <script src="network.js"></script> <script src="drawing.js"></script> <script src="live.js"></script>

   data-depth="4", data-start="he" and so on are what a place starts with: names and values of SETTINGS. */
"use strict";

(() => {
  const range = (from, to) => Array.from({ length: to - from + 1 }, (_, k) => from + k);
  // Each setting: its label, its values, what they are called, and what a place starts with.
  const SETTINGS = {
    depth: ["Hidden layers", range(2, 20), String, 20],
    start: ["Start", ["default", "he"], (v) => ({ default: "PyTorch’s default", he: "He’s" })[v], "default"],
    task: ["Task", ["two spirals", "three spirals", "two rings", "three rings"], String, "two spirals"],
    rate: ["Learning rate", [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1], String, 0.03],
    batch: ["Batch size", [2, 4, 8, 16, 32, 64, 128, 256], String, 64],
    momentum: ["Momentum", [0, 0.5, 0.9, 0.95], String, 0.9],
    seed: ["Seed", range(1, 20), String, 1],
    speed: ["Pace", [2, 5, 10, 30, 60, 120], (v) => `up to ${v} a second`, 30],
  };
  const SEEN = ["depth", "start", "task"], LISTS = ["start", "task"]; // always seen; chosen from a list
  const PLAIN_WINS = { depth: 3, start: "he", batch: 4 }; // the tests try it with several seeds
  const SIDE = 40, EDGE = 1.1; // the map: SIDE × SIDE points in the square ±EDGE
  const EVERY = 2000; // milliseconds from one summary to the next, at least
  const { KINDS, sample } = liveDrawing;
  const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

  // What the worker does. Its text is sent there, so it knows nothing but its arguments.
  function work(net, post, SIDE, EDGE) {
    const POINTS = 512, FRAME = 1000 / 30, REST = 1500; // steps after which it pauses by itself
    const cell = (k) => EDGE * ((2 * k + 1) / SIDE - 1);
    const grid = new Float64Array(2 * SIDE * SIDE);
    for (let k = 0; k < SIDE * SIDE; k++) grid.set([cell(k % SIDE), -cell(Math.floor(k / SIDE))], 2 * k);
    let settings, train, test, pair, batches, step, until; // pair: without, with
    let timer = null, due = 0, last = 0, judged = 0, cost = 0;

    function* shuffled() { // batches without end; each pass over the points has an order of its own
      const draw = net.random(settings.seed + 2000), order = [...train.labels.keys()], size = settings.batch;
      for (;;) {
        for (let i = order.length - 1; i > 0; i--) {
          const j = Math.floor(draw() * (i + 1));
          [order[i], order[j]] = [order[j], order[i]];
        }
        for (let k = 0; k + size <= order.length; k += size) {
          const chosen = order.slice(k, k + size);
          const x = Float64Array.from(chosen.flatMap((n) => [train.x[2 * n], train.x[2 * n + 1]]));
          yield { x, labels: Uint8Array.from(chosen, (n) => train.labels[n]) };
        }
      }
    }
    function reset(given) {
      settings = given;
      [step, until] = [0, REST];
      const { depth, start, seed } = settings, [number, task] = settings.task.split(" ");
      const classes = { two: 2, three: 3 }[number];
      [train, test] = [0, 1000].map((more) => net.draw(task, classes, POINTS, seed + more));
      const make = (normalized) => new net.Network({ depth, width: 16, classes, normalized }).initialize(start, seed);
      // The signal before the first step is looked at in a second pair: running statistics would notice.
      const twins = [make(false), make(true)], { x, labels } = shuffled().next().value;
      for (const twin of twins) twin.backward(net.crossEntropy(twin.forward(x, true), labels).gradient);
      pair = [make(false), make(true)];
      batches = shuffled();
      post({ fresh: true, settings, classes, train, step, done: false, losses: [], ...signal(twins), ...judge() });
    }
    function learn() {
      const { x, labels } = batches.next().value;
      step += 1;
      return pair.map((network) => network.learn(x, labels, settings.rate, settings.momentum));
    }
    function signal(networks) { // of the last batch
      return { spread: networks.map((n) => n.spreads()), gradient: networks.map((n) => n.gradientNorms()) };
    }
    function judge() { // in evaluation mode
      const start = performance.now();
      const accuracy = pair.map((n) => [train, test].map(({ x, labels }) => n.accuracy(x, labels)));
      const maps = pair.map((n) => Float32Array.from(n.predict(grid)));
      judged = performance.now();
      cost = judged - start;
      return { accuracy, maps };
    }
    function tick() { // the steps that are due, or as many as there is time for
      const now = performance.now(), losses = [];
      due = Math.min(due + (settings.speed * (now - last)) / 1000, settings.speed / 4 + 1);
      last = now;
      while (due >= 1 && step < until && performance.now() - now < FRAME) {
        losses.push(learn());
        due -= 1;
      }
      const done = step >= until;
      if (losses.length) { // the judgement, if the last one took less than a fifth of the time
        const often = done || now - judged > Math.max(120, 4 * cost);
        post({ step, done, losses, ...signal(pair), ...(often ? judge() : {}) });
      }
      timer = done ? null : setTimeout(tick, Math.max(2, FRAME - (performance.now() - now)));
    }
    return ({ data: [what, given] }) => {
      if (what === "reset") reset(given);
      else if (what === "speed") settings.speed = given;
      else if (what === "pause") timer = clearTimeout(timer) ?? null;
      else if (what === "step") {
        const losses = Array.from({ length: given }, learn);
        post({ step, losses, ...signal(pair), ...judge() });
      } else if (what === "play" && timer === null) {
        if (step >= until) until = step + REST;
        [last, due] = [performance.now(), 1];
        tick();
      }
    };
  }

  // --- the page

  function control(name) {
    const [label, values, words] = SETTINGS[name];
    if (!LISTS.includes(name)) {
      return `<label><span>${label} <b></b></span>
        <input type="range" data-set="${name}" min="0" max="${values.length - 1}"></label>`;
    }
    const options = values.map((v, k) => `<option value="${k}">${words(v)}</option>`);
    return `<label><span>${label}</span><select data-set="${name}">${options.join("")}</select></label>`;
  }
  const network = (kind, k) => `<figure class="network ${kind}">
    <figcaption>${sample(k)} <span><b>${kind}</b> <span class="wide">normalization</span></span></figcaption>
    <canvas role="img" aria-label="What the network ${kind} normalization answers"></canvas>
    <p><b class="score"></b> of test points right<br><span class="more"></span></p></figure>`;
  const panel = (name, words) => `<figure class="chart"><figcaption>${words}</figcaption>
    <div role="img" aria-label="${words.replace(/<[^>]*>/g, "")}" data-chart="${name}"></div></figure>`;
  const PAGE = `
    <div class="bar"><button type="button" data-do="play">Play</button>
      <button type="button" data-do="step">Step</button> <button type="button" data-do="reset">Reset</button>
      <p class="summary" aria-live="polite"></p>
      <span class="pace"></span></div>
    <div class="controls">${SEEN.map(control).join("")}</div>
    <details><summary>More settings</summary><div class="controls">
      ${Object.keys(SETTINGS).filter((name) => !SEEN.includes(name)).map(control).join("")}</div></details>
    <div class="view">${KINDS.map(network).join("")}
      ${panel("loss", "Loss on the training batches <i>mean of ten</i>")}
      ${panel("spread", "Forward →: spread across the batch")}
      ${panel("gradient", "← Back: size of the gradient")}</div>
    <p class="note">Both start from the same weights, see the same batches and learn at the same rate. Spread and
      gradient are the last batch’s, at each layer’s output. Maps and percentages are computed in evaluation mode, where
      the normalized network uses its running statistics; at first these lag behind.</p>
    <p class="note">There are settings where the plain network wins.
      <button type="button" data-do="plain">3 layers, He’s start, batches of 4</button>
      <button type="button" data-do="back">Back to the first settings</button></p>
    ${["class-0", "class-1", "class-2", "ground"].map((name) => `<i hidden class="${name}"></i>`).join("")}`;

  function mount(place) {
    let worker;
    try { // from a Blob: a page that was opened as a file may not load a worker's
      const source = `"use strict"; onmessage = (${work})((${liveNetwork})(), postMessage, ${SIDE}, ${EDGE});`;
      worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    } catch {
      return; // what stands in the place stays
    }
    place.innerHTML = PAGE;
    place.classList.add("learning");
    place.setAttribute("role", "group");
    place.setAttribute("aria-label", "Two networks learn, without and with batch normalization");
    const one = (selector) => place.querySelector(selector), all = (selector) => [...place.querySelectorAll(selector)];

    const first = Object.fromEntries(Object.entries(SETTINGS).map(([name, [, values, , usual]]) =>
      [name, values.find((v) => String(v) === place.dataset[name]) ?? usual]));
    let chosen = { ...first }, state = {}, losses = [[], []], axes = {}, times = [], newMaps = true, asked = false;
    let wanted = !matchMedia("(prefers-reduced-motion: reduce)").matches, rested = false, seen = false;

    function play() { // or not: it pauses while nobody sees it, too
      const running = wanted && seen && !document.hidden;
      worker.postMessage([running ? "play" : "pause"]);
      times = [];
      one("[data-do=play]").textContent = wanted ? "Pause" : "Play";
    }
    function set(settings) {
      chosen = settings;
      for (const input of all("[data-set]")) {
        const [, values, words] = SETTINGS[input.dataset.set], value = chosen[input.dataset.set];
        input.value = values.indexOf(value);
        if (input.type !== "range") continue;
        input.setAttribute("aria-valuetext", words(value));
        input.parentElement.querySelector("b").textContent = words(value);
      }
    }
    let pending = null;
    function reset(settings) {
      set(settings);
      clearTimeout(pending); // a slider that is drawn along sets many values
      pending = setTimeout(() => worker.postMessage(["reset", chosen]), 50);
      if (rested) wanted = true;
      rested = false;
      play();
    }
    const actions = {
      play: () => ((wanted = !wanted), (rested = false), play()),
      step: () => ((wanted = false), play(), worker.postMessage(["step", 1])),
      reset: () => reset(chosen),
      plain: () => reset({ ...first, ...PLAIN_WINS }),
      back: () => reset({ ...first }),
    };
    for (const button of all("[data-do]")) button.addEventListener("click", actions[button.dataset.do]);
    for (const input of all("[data-set]")) {
      input.addEventListener("input", () => {
        const name = input.dataset.set, settings = { ...chosen, [name]: SETTINGS[name][1][input.value] };
        if (name !== "speed") return reset(settings);
        set(settings);
        worker.postMessage(["speed", settings.speed]);
      });
    }

    // --- what the worker says
    worker.onmessage = ({ data }) => {
      if (data.fresh) [losses, axes, times] = [[[], []], {}, []];
      for (const both of data.losses) both.forEach((loss, k) => losses[k].push(loss));
      times = [...times, [performance.now(), data.step]].filter(([at]) => performance.now() - at < 3000);
      state = { ...state, ...data };
      newMaps ||= "maps" in data;
      if (data.done) {
        [wanted, rested] = [false, true];
        play();
      }
      if (newMaps) say();
      redraw();
    };
    function redraw() {
      if (!asked) requestAnimationFrame(draw);
      asked = true;
    }
    function draw() {
      asked = false;
      if (!state.maps) return;
      const put = (name, chart) => {
        const host = one(`[data-chart=${name}]`);
        host.innerHTML = chart(Math.max(220, host.clientWidth), host.clientHeight);
      };
      put("loss", (...size) => liveDrawing.loss(...size, losses, state.classes));
      for (const name of ["spread", "gradient"]) {
        axes[name] = liveDrawing.decades(state[name], axes[name]); // an axis only grows: what moves is the lines
        put(name, (...size) => liveDrawing.layers(...size, state[name], axes[name], state.settings.depth));
      }
      if (newMaps) drawMaps();
      newMaps = false;
      const [[from, a], [to, b]] = times.length > 9 ? [times[0], times.at(-1)] : [[0, 0], [1, 0]];
      one(".pace").textContent = b > a ? `${Math.round((1000 * (b - a)) / (to - from))} steps a second` : "";
    }
    function drawMaps() {
      const color = (name) => getComputedStyle(one(`.${name}`)).color;
      const classes = [0, 1, 2].map((k) => color(`class-${k}`));
      const colors = { classes, line: color("class-2"), ground: color("ground") };
      all("canvas").forEach((canvas, k) =>
        liveDrawing.map(canvas, state.maps[k], state.classes, SIDE, EDGE, state.train, colors));
      all(".score").forEach((score, k) => (score.textContent = percent(state.accuracy[k][1])));
      all(".more").forEach((more, k) => {
        const broken = losses[k].length && !isFinite(losses[k].at(-1));
        more.textContent = broken ? "its loss is no longer a number" : `training: ${percent(state.accuracy[k][0])}`;
      });
    }

    // --- in words, to screen readers too: so not too often
    let said = -EVERY, later = null;
    function say() {
      const wait = said + EVERY - performance.now();
      clearTimeout(later);
      if (wait > 0) return void (later = setTimeout(say, wait));
      said = performance.now();
      const { step, accuracy, spread, gradient } = state, right = accuracy.map(([, test]) => percent(test));
      const rest = rested ? " Paused: press Play to go on." : "";
      one(".summary").textContent = `Step ${step}: without ${right[0]}, with ${right[1]}.${rest}`;
      const both = (values, digits) => values.map((v, k) => `${KINDS[k]} ${digits(v)}`).join(", ");
      const small = (v) => v.toExponential(1);
      const label = (name, words) => (one(`[data-chart=${name}]`).ariaLabel = words);
      label("loss", step ? `Loss at step ${step}: ${both(losses.map((l) => l.at(-1)), (v) => v.toFixed(2))}` : "Loss");
      label("spread", `Spread at the last hidden layer: ${both(spread.map((l) => l.at(-1)), small)}`);
      label("gradient", `Gradient at the first hidden layer: ${both(gradient.map((l) => l[0]), small)}`);
      all("canvas").forEach((canvas, k) => (canvas.ariaLabel =
        `What the network ${KINDS[k]} normalization answers: ${right[k]} of the test points right`));
    }

    // --- what else calls for a drawing or a pause
    const again = () => ((newMaps = true), redraw());
    new ResizeObserver(again).observe(place);
    new MutationObserver(again).observe(document.documentElement, { attributes: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    document.addEventListener("visibilitychange", play);
    new IntersectionObserver((entries) => ((seen = entries.at(-1).isIntersecting), play())).observe(place);
    place.live = { state: () => ({ ...state, losses }), ask: (...what) => worker.postMessage(what) }; // for the tests
    set(chosen);
    worker.postMessage(["reset", chosen]);
    play();
  }

  for (const place of document.querySelectorAll(".live:not(.course-moving, .learning)")) mount(place);
})();
