/* What the page draws: charts as the text of an SVG, maps on a canvas. Colours and type are the stylesheet's.

   Without normalization: dashed, round, orange; with it: solid, square, blue; theory thin and grey. */
"use strict";

var liveDrawing = (() => {
  const KINDS = ["without", "with"];

  const mark = (k, x, y, r) => k
    ? `<rect x="${(x - r).toFixed(1)}" y="${(y - r).toFixed(1)}" width="${2 * r}" height="${2 * r}"/>`
    : `<circle cx="${x}" cy="${y}" r="${1.1 * r}"/>`;

  // How a network's line looks, for its heading.
  const sample = (k) => `<svg class="${KINDS[k]}" width="46" height="14" aria-hidden="true">
    <path d="M1 7H45"/>${mark(k, 23, 7, 4.5)}</svg>`;

  // 10⁻⁶ for −6
  const power = (e) => e === 0 ? "1" : "10" + [...`${e}`].map((d) => (d === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[d])).join("");

  /* A chart of W × H pixels.
     lines: without, with; each [[x, y], …], the last point named. x, y: [from, to]; log: y is logarithmic, and what is
     0 is drawn at the lower edge. xticks, yticks: [[value, label], …]. every: a mark at each point, else at the last.
     reference: [y, label], a thin line. */
  function chart(W, H, { lines, x, y, xticks, yticks, xlabel, log, every, reference }) {
    const left = 40, right = W - 74, top = 10, bottom = H - 38, size = log ? Math.log10 : (v) => v;
    const share = (v) => (size(v) - size(y[0])) / (size(y[1]) - size(y[0]));
    const X = (v) => (left + ((v - x[0]) / (x[1] - x[0])) * (right - left)).toFixed(1);
    const Y = (v) => (bottom - Math.min(1, Math.max(0, share(v))) * (bottom - top)).toFixed(1);
    const text = (a, b, anchor, words, kind = "") =>
      `<text x="${a}" y="${b}" text-anchor="${anchor}" class="${kind}">${words}</text>`;
    const across = (v, kind) => `<path class="${kind}" d="M${left} ${Y(v)}H${right}"/>`;

    const parts = [
      ...yticks.map(([v, label]) => across(v, "grid") + text(left - 7, Number(Y(v)) + 4, "end", label)),
      ...xticks.map(([v, label]) => text(X(v), bottom + 17, "middle", label)),
      text((left + right) / 2, H - 4, "middle", xlabel),
    ];
    if (reference) {
      const [v, words] = reference;
      parts.push(across(v, "theory"), text(right, Number(Y(v)) + 16, "end", words, "theory"));
    }
    const points = lines.map((line) => line.map(([a, b]) => [Number(X(a)), Number(Y(b))]));
    const [a, b] = points.map((at) => at.at(-1)?.[1] ?? -99);
    const apart = Math.abs(a - b) < 15 ? Math.sign(b - a || 1) * (15 - Math.abs(a - b)) / 2 : 0; // of the two names
    points.forEach((at, k) => {
      if (!at.length) return;
      const [endX, endY] = at.at(-1), marks = (every ? at : [at.at(-1)]).map((p) => mark(k, ...p, every ? 3.2 : 4.5));
      const name = text(endX + 9, (endY + 4 + (k ? apart : -apart)).toFixed(1), "start", KINDS[k]);
      parts.push(`<g class="${KINDS[k]}"><path d="M${at.join("L")}"/>${marks.join("")}${name}</g>`);
    });
    return `<svg viewBox="0 0 ${W} ${H}" width="${W}" height="${H}" aria-hidden="true">${parts.join("")}</svg>`;
  }

  const ticks = (values) => values.map((v) => [v, v]);
  const range = (from, to) => Array.from({ length: to - from + 1 }, (_, k) => from + k);
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  // losses: without, with; the loss at each step. Each point is the mean of ten.
  function loss(W, H, losses, classes) {
    const chance = Math.log(classes), top = 1.6 * chance, steps = losses[0].length;
    const end = [50, 100, 200, 500, 1000].find((v) => v >= steps) ?? 1500 * Math.ceil(steps / 1500);
    const every = Math.ceil((steps + 1) / 150); // a point is drawn
    const line = (values) => values.flatMap((_, t) => {
      const value = mean(values.slice(Math.max(0, t - 9), t + 1));
      return isFinite(value) && ((t + 1) % every === 0 || t === steps - 1) ? [[t + 1, value]] : [];
    });
    return chart(W, H, {
      lines: losses.map(line), x: [0, end], y: [0, top], xlabel: "step", reference: [chance, "guessing"],
      xticks: ticks([0, end / 2, end]), yticks: ticks([0, 0.5, 1, 1.5].filter((v) => v < top)),
    });
  }

  // The powers of ten that hold all sizes and those of before: an axis that only grows.
  function decades(sizes, [low, high] = [-1, 0]) {
    const exponents = sizes.flat().filter((v) => v > 0 && isFinite(v)).map(Math.log10);
    const bottom = Math.min(low, ...exponents.map(Math.floor)), top = Math.max(high, ...exponents.map(Math.ceil));
    return [Math.max(-20, bottom), Math.min(20, top)];
  }

  // sizes: without, with; a number for each layer.
  function layers(W, H, sizes, [bottom, top], depth) {
    const step = Math.ceil((top - bottom) / 5), labelled = range(bottom, top).filter((e) => e % step === 0);
    return chart(W, H, {
      lines: sizes.map((values) => values.map((v, k) => [k + 1, v]).filter(([, v]) => isFinite(v))),
      x: [1, depth], y: [10 ** bottom, 10 ** top], xlabel: "hidden layer", log: true, every: true,
      xticks: ticks(range(1, depth).filter((v) => depth < 9 || v === 1 || v % 5 === 0)),
      yticks: labelled.map((e) => [10 ** e, power(e)]),
    });
  }

  // Which class a map of side × side points gives the pixels, with the probability between the points.
  function* answers(map, K, side, pixels) {
    const place = (k) => Math.min(side - 1.001, Math.max(0, ((k + 0.5) * side) / pixels - 0.5));
    for (let row = 0; row < pixels; row++) {
      const v = place(row), v0 = Math.floor(v), dv = v - v0;
      for (let column = 0; column < pixels; column++) {
        const u = place(column), u0 = Math.floor(u), du = u - u0;
        let best = -1, most = 0;
        for (let k = 0, c = (v0 * side + u0) * K; k < K; k++, c++) {
          const above = (1 - du) * map[c] + du * map[c + K], below = c + side * K;
          const p = (1 - dv) * above + dv * ((1 - du) * map[below] + du * map[below + K]);
          if (p > most) [best, most] = [k, p];
        }
        yield [row, column, best, most]; // −1: no number
      }
    }
  }

  /* The map: each pixel has the class with the greatest probability, paler where it is less certain. The classes differ
     by texture, too (none, dots, stripes), and a line runs where the answer changes. Then some of the training points.
     colors: of the classes, of the line, of the ground, as the stylesheet computes them. */
  function map(canvas, values, K, side, edge, { x, labels }, colors) {
    const width = canvas.clientWidth, pixels = Math.round(width * Math.min(2, devicePixelRatio));
    const unit = pixels / width; // canvas pixels in one of the page's
    canvas.width = canvas.height = pixels;
    const pen = canvas.getContext("2d"), image = pen.createImageData(pixels, pixels);
    const winner = new Int8Array(pixels ** 2);
    const numbers = (css) => css.match(/[\d.]+/g).map(Number); // of rgb(…)
    const tints = colors.classes.map(numbers), line = numbers(colors.line);
    for (const [row, column, best, most] of answers(values, K, side, pixels)) {
      const at = row * pixels + column, a = row / unit, b = column / unit;
      winner[at] = best;
      if (best < 0) continue;
      const changes = (column && winner[at - 1] !== best) || (row && winner[at - pixels] !== best);
      const texture = [0, Math.hypot((a % 8) - 4, (b % 8) - 4) < 1.2, (a + b) % 9 < 1.3][best];
      const [red, green, blue] = changes ? line : tints[best];
      const alpha = changes ? 0.85 : 0.08 + (0.3 * (most * K - 1)) / (K - 1) + (texture ? 0.2 : 0);
      image.data.set([red, green, blue, 255 * alpha], 4 * at);
    }
    pen.putImageData(image, 0, 0);
    pen.scale(unit, unit);
    const r = width > 200 ? 4 : 3, center = width / 2;
    for (let n = 0; n < (width > 200 ? 150 : 80); n++) {
      sign(pen, labels[n], center * (1 + x[2 * n] / edge), center * (1 - x[2 * n + 1] / edge), r, colors);
    }
  }

  // A point's sign: a triangle, a cross, a bar.
  function sign(pen, k, x, y, r, { classes, ground }) {
    const strokes = [
      [[0, -1.2, 1.1, 0.8, -1.1, 0.8, 0, -1.2, 1.1, 0.8]],
      [[-1, -1, 1, 1], [-1, 1, 1, -1]],
      [[0, -1.5, 0, 1.5]],
    ][k];
    pen.beginPath();
    for (const [a, b, ...more] of strokes) {
      pen.moveTo(x + r * a, y + r * b);
      for (let i = 0; i < more.length; i += 2) pen.lineTo(x + r * more[i], y + r * more[i + 1]);
    }
    [pen.strokeStyle, pen.lineWidth] = [ground, k ? 4.5 : 3];
    pen.stroke();
    [pen.strokeStyle, pen.fillStyle, pen.lineWidth] = [classes[k], classes[k], 2];
    if (k) pen.stroke();
    else pen.fill();
  }

  return { KINDS, decades, layers, loss, map, sample };
})();
