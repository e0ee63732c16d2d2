/* The axes: which cells share a mean, and what is forgotten of a picture (notebook 13).

   A page embeds it as <div class="touch" data-touch="axes"></div> and, behind it, a script whose src is this file, or
   which holds its text.

   Plain JavaScript, without a library or a network. `window.touch.axes.compute` and `.members` are what is computed,
   tested against PyTorch; the pictures are drawn here, number by number. What stands between the markers below is the
   same in all things to touch. */
(() => {
"use strict";

// The set of cells that picture n, channel c belongs to, as a number: cells with the same number share their statistics.
function setOf(kind, [, C], groups, n, c) {
  if (kind === "batch") return c;
  if (kind === "instance") return n * C + c;
  if (kind === "group") return n * groups + Math.floor(c / (C / groups));
  return n;  // layer and RMS
}
// x: N·C·H·W numbers, picture by picture and channel by channel → as many, normalized; γ and β are left out.
function compute({ x, shape, kind, groups = 2, eps = 1e-5 }) {
  const [N, C, H, W] = shape, places = H * W, sets = new Map();
  const of = (k) => setOf(kind, shape, groups, Math.floor(k / (C * places)), Math.floor(k / places) % C);
  x.forEach((_, k) => { if (!sets.has(of(k))) sets.set(of(k), []); sets.get(of(k)).push(k); });
  const y = new Array(N * C * places);
  for (const cells of sets.values()) {
    const mean = kind === "RMS" ? 0 : cells.reduce((sum, k) => sum + x[k], 0) / cells.length;
    const width = Math.sqrt(cells.reduce((sum, k) => sum + (x[k] - mean) ** 2, 0) / cells.length + eps);
    for (const k of cells) y[k] = (x[k] - mean) / width;
  }
  return y;
}
// Which of the N·C·H·W cells share the statistics of the one at picture n, channel c (wherever it is in the picture).
function members({ shape, kind, groups = 2, cell: [n, c] }) {
  const [N, C, H, W] = shape;
  return Array.from({ length: N * C * H * W }, (_, k) =>
    setOf(kind, shape, groups, Math.floor(k / (C * H * W)), Math.floor(k / (H * W)) % C) === setOf(kind, shape, groups, n, c));
}

const SHAPE = [4, 6, 2, 2], [N, C] = SHAPE, P = 4, SIDE = 24;
const SHARE = { batch: "all pictures and places, this channel", instance: "this picture, this channel, all its places", group: "this picture, three of its channels, all places",
  layer: "this picture, all its channels and places", RMS: "this picture, all its channels and places; what they share is the mean of the squares" };
const SCENES = [[205, 0.55, 0.74, 120], [28, 0.62, 0.3, 45], [225, 0.3, 0.5, 160], [190, 0.75, 0.6, 85]];  // hue of the sky, light, the sun's place, hue of the ground

function scene([sky, light, sun, ground]) {  // (3, SIDE, SIDE), from 0 to 1
  const rgb = (hue, value) => [0, 120, 240].map((shift) => value * (0.62 + 0.38 * Math.cos((hue - shift) * Math.PI / 180)));
  const picture = new Array(3 * SIDE * SIDE);
  for (let row = 0; row < SIDE; row++) for (let column = 0; column < SIDE; column++) {
    const hill = 15 - 6 * Math.sin(column / 5 + sky) - 2 * Math.sin(column / 2.1), disc = Math.hypot(row - 5, column - sun * SIDE) < 3.2;
    const house = row > 13 && row < 20 && Math.abs(column - (1 - sun) * SIDE) < 4, window = house && row > 15 && row < 18 && column % 4 < 2;
    const color = window ? [0.95, 0.85, 0.4] : house ? [0.75, 0.3, 0.22] : row > hill ? rgb(ground, 0.28 + 0.012 * row) : disc ? [1, 0.93, 0.6] : rgb(sky, light + 0.25 * row / SIDE);
    color.forEach((value, c) => { picture[(c * SIDE + row) * SIDE + column] = Math.min(1, value); });
  }
  return picture;
}
const PICTURES = SCENES.map(scene), fog = (value) => 0.4 * value + 0.6, own = (change) => (picture, n) => (n === 0 ? picture.map(change) : picture);
const CHANGES = { fog: ["in fog", own(fog)], darker: ["darker", own((v) => 0.4 * v)],
  tinted: ["tinted", own((v, k) => v * [1, 0.6, 0.3][Math.floor(k / SIDE ** 2)])],
  all: ["all four in fog", (picture) => picture.map(fog)], others: ["the others in fog", (picture, n) => (n ? picture.map(fog) : picture)] };

function bitmap(picture, low, high) {  // three channels as a BMP, from the bottom row up
  const bytes = [0x42, 0x4d], word = (value, size) => { for (let k = 0; k < size; k++) bytes.push((value >> (8 * k)) & 255); };
  for (const value of [54 + 3 * SIDE * SIDE, 0, 54, 40, SIDE, SIDE]) word(value, 4);
  word(1, 2); word(24, 2);
  for (const value of [0, 3 * SIDE * SIDE, 2835, 2835, 0, 0]) word(value, 4);
  for (let row = SIDE - 1; row >= 0; row--) for (let column = 0; column < SIDE; column++) for (const c of [2, 1, 0]) {
    bytes.push(Math.max(0, Math.min(255, Math.round(25 + 205 * (picture[(c * SIDE + row) * SIDE + column] - low) / (high - low)))));
  }
  return `data:image/bmp;base64,${btoa(String.fromCharCode(...bytes))}`;
}

function build(section, again) {
  let kind = "layer", change = "fog", cell = [0, 4, 1], counted = null;
  const guesses = new Map(), about = () => `${kind} ${change}`, name = () => (kind === "RMS" ? "RMS" : kind);
  const block = draw("svg", { role: "group", "aria-label": "four pictures of six channels with four places; arrow keys move, page keys change the picture" });
  const shown = draw("svg", { role: "img" });
  const said = make("p", { class: "said", "aria-live": "polite" }), seen = make("p", { class: "said", "aria-live": "polite" });
  const where = () => `picture ${cell[0] + 1}, channel ${cell[1] + 1}, place ${cell[2] + 1}`;
  const tell = () => {
    const count = members({ shape: SHAPE, kind, cell }).filter(Boolean).length;
    said.textContent = counted === null ? `The chosen cell: ${where()}.` : `${kind}, ${where()}: ${count} of the 96 numbers. ${SHARE[kind][0].toUpperCase()}${SHARE[kind].slice(1)}.`;
  };
  function choose(next) {
    cell = next;
    tell(); again();
    block.querySelector(`[data-key="${cell.join("-")}"]`).focus();
  }
  const keys = (event) => {
    const [n, c, p] = cell, go = { ArrowLeft: [n, c - 1, p], ArrowRight: [n, c + 1, p], ArrowUp: [n, c, p - 1], ArrowDown: [n, c, p + 1],
      PageUp: [n - 1, c, p], PageDown: [n + 1, c, p], Home: [n, 0, p], End: [n, C - 1, p], Enter: cell, " ": cell }[event.key];
    if (!go) return;
    event.preventDefault();
    choose([(go[0] + N) % N, (go[1] + C) % C, (go[2] + P) % P]);
  };
  const count = make("div", { class: "guess", role: "group", "aria-label": "your guess" },
    make("p", {}, "4 pictures × 6 channels × 4 places are 96 numbers. With layer normalization, how many of them share the mean of the framed one?"),
    make("div", { class: "answers" }, [4, 12, 16, 24, 96].map((number) => button(String(number), () => {
      counted = number; count.hidden = true; below.hidden = false; tell(); again();
      said.textContent += ` Your guess: ${number}. Now choose another cell, or another normalization.`;
      block.querySelector('[tabindex="0"]').focus();
    }))));
  const asked = make("p"), question = make("div", { class: "guess", role: "group", "aria-label": "your guess" }, asked,
    make("div", { class: "answers" }, ["it still shows", "it is forgotten"].map((text) => button(text, () => { guesses.set(about(), text); again(); seen.tabIndex = -1; seen.focus(); }))));
  const kinds = choice("Normalization", Object.keys(SHARE).map((key) => [key, key]), kind, (value) => { kind = value; tell(); again(); });
  const below = make("section", { hidden: true, "aria-label": "what is forgotten" }, make("h3", {}, "What is forgotten?"),
    make("p", {}, "The same choice, for the first of four little pictures with three channels, red, green and blue. Something about it is changed; what is left of the change behind the normalization?"),
    choice("The change", Object.entries(CHANGES).map(([key, [text]]) => [key, text]), change, (value) => { change = value; again(); }), shown, question, seen);
  section.setAttribute("aria-label", "The axes, something to touch");
  section.append(make("h3", {}, "The axes"),
    make("p", {}, "A batch of pictures as a block of numbers. To normalize is to choose who shares a mean. Choose a cell: click it, or use the arrow keys; Page up and Page down lead to another picture."),
    kinds, block, count, said, below);
  tell();

  function cells(width, em) {
    const columns = width < 44 * em ? 2 : 4, unit = Math.min(2.6 * em, (width / columns - 0.4 * em) / (C + 0.5)), wide = width / columns, high = 4.4 * unit + 3.4 * em;
    const lit = members({ shape: SHAPE, kind, cell }), parts = [];
    const face = (points, on) => [draw("path", { d: `M${points.map((point) => point.map((v) => v.toFixed(1)).join(" ")).join("L")}z`, class: on ? "lit" : "cell" })];
    for (let n = 0; n < N; n++) {
      const left = (n % columns) * wide + (wide - 6.5 * unit) / 2, top = Math.floor(n / columns) * high + 2.1 * em + 0.36 * unit;
      const is = (c) => counted !== null && lit[(n * C + c) * P], dx = 0.5 * unit, dy = -0.36 * unit, drawn = [[], []];
      parts.push(words(left + 3 * unit, top - 0.36 * unit - 0.6 * em, `picture ${n + 1}`, "title"));
      for (let c = 0; c < C; c++) drawn[+is(c)].push(face([[left + c * unit, top], [left + c * unit + dx, top + dy], [left + (c + 1) * unit + dx, top + dy], [left + (c + 1) * unit, top]], is(c)));
      for (let p = 0; p < P; p++) {
        const x = left + C * unit, y = top + p * unit;
        drawn[+is(C - 1)].push(face([[x, y], [x + dx, y + dy], [x + dx, y + unit + dy], [x, y + unit]], is(C - 1)));
        for (let c = 0; c < C; c++) {
          const here = cell[0] === n && cell[1] === c && cell[2] === p, u = left + c * unit;
          drawn[here ? 1 : +is(c)].push(draw("g", { role: "button", tabindex: here ? 0 : -1, "data-key": `${n}-${c}-${p}`, "aria-pressed": String(here), "aria-label": `picture ${n + 1}, channel ${c + 1}, place ${p + 1}${is(c) ? ", shares the mean" : ""}`,
            onclick: () => choose([n, c, p]), onkeydown: keys },
          draw("rect", { x: u, y, width: unit, height: unit, class: is(c) ? "lit" : "cell" }),
          is(c) ? draw("path", { class: "hatch", d: `M${u} ${y + unit / 2}l${unit / 2} ${-unit / 2}M${u} ${y + unit}l${unit} ${-unit}M${u + unit / 2} ${y + unit}l${unit / 2} ${-unit / 2}` }) : null,
          here ? draw("rect", { x: u + 3, y: y + 3, width: unit - 6, height: unit - 6, class: "here" }) : null,
          draw("rect", { x: u - 3, y: y - 3, width: unit + 6, height: unit + 6, class: "ring" })));
        }
      }
      parts.push(drawn);
      parts.push(words(left + 3 * unit, top + 4 * unit + 1.1 * em, "channels →  places ↓"));
    }
    paint(block, width, N / columns * high + 0.2 * em, parts);
  }
  return (width, em) => {
    cells(width, em);
    const columns = width < 44 * em ? 2 : 4, size = Math.min(9 * em, width / columns - 1 * em), open = guesses.has(about()), high = size + 2.6 * em;
    const [text, changed] = CHANGES[change], shape = [4, 3, SIDE, SIDE], groups = 1, all = (batch) => compute({ x: batch.flat(), shape, kind, groups, eps: 1e-13 }).slice(0, 3 * SIDE ** 2);
    const before = all(PICTURES), after = all(PICTURES.map(changed)), ordered = [...before].sort((a, b) => a - b);
    const low = ordered[Math.round(0.02 * (ordered.length - 1))], top = ordered[Math.round(0.98 * (ordered.length - 1))];
    const norm = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)), left = norm(after.map((value, k) => value - before[k])) / norm(before);
    const four = [["as it was", PICTURES[0], 0, 1], [text, changed(PICTURES[0], 0), 0, 1], [`${name()}: as it was`, before, low, top], [`${name()}: ${text}`, after, low, top]];
    paint(shown, width, 4 / columns * high, four.map(([title, picture, from, to], k) => {
      const x = (k % columns) * (size + 1.4 * em), y = Math.floor(k / columns) * high + 1.6 * em;
      return [words(x, y - 0.5 * em, k < 2 || open ? title : `${name()}: ?`, "strong", "start"), k < 2 || open
        ? draw("image", { href: bitmap(picture, from, to), x, y, width: size, height: size })
        : draw("rect", { x: x + 1, y: y + 1, width: size - 2, height: size - 2, class: "veil" })];
    }));
    shown.setAttribute("aria-label", `A little picture, ${text}${open ? `, and both behind ${name()} normalization` : ""}.`);
    question.hidden = open;
    asked.textContent = `“${text}”, behind ${name()} normalization: what becomes of the change?`;
    seen.textContent = !open ? "" : `${left < 0.005 ? "Forgotten" : "It still shows"}: of the change ${fixed(left)} is left, measured by the size of what comes out. Your guess: ${guesses.get(about())}.${kind === "group" ? " (Three channels make one group here; that is layer normalization.)" : ""}`;
  };
}

// HERE: touch.css, parts.js and the data

start("axes", build, { compute, members });
})();
