/* What the things to touch have in common. utils/touch/made.py copies what follows into each of them. */
const SHAPES = {  // of markers, around (0, 0)
  o: (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  s: (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  "^": (r) => `M0 ${-1.2 * r}L${1.15 * r} ${0.9 * r}H${-1.15 * r}z`,
  v: (r) => `M0 ${1.2 * r}L${1.15 * r} ${-0.9 * r}H${-1.15 * r}z`,
  X: (r) => [0, 90, 180, 270].map((a) => [[0.45, 0], [1.2, 0.75], [0.75, 1.2]].map(([x, y]) => turned(x * r, y * r, a))).flat()
    .reduce((path, [x, y], i) => `${path}${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`, "") + "z",
  star: (r) => Array.from({ length: 10 }, (_, i) => turned(0, -r * (i % 2 ? 0.42 : 1), 36 * i))
    .reduce((path, [x, y], i) => `${path}${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`, "") + "z",
};
function turned(x, y, degrees) {
  const a = degrees * Math.PI / 180;
  return [x * Math.cos(a) - y * Math.sin(a), x * Math.sin(a) + y * Math.cos(a)];
}
function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
const make = (name, attributes = {}, ...children) => filled(document.createElement(name), attributes, children);
const draw = (name, attributes = {}, ...children) =>
  filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
const marker = (shape, x, y, r, look) =>
  draw("path", { d: SHAPES[shape](r), transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, class: look });
const words = (x, y, text, look = "", anchor = "middle") =>
  draw("text", { x: x.toFixed(1), y: y.toFixed(1), class: look, "text-anchor": anchor }, text);
const rule = (x1, y1, x2, y2, look) => draw("line", { x1, y1, x2, y2, class: look });
const path = (points, look) => draw("path", { class: look, d: points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("") });
const fixed = (value, digits = 2) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
const button = (text, click, look = "") => make("button", { type: "button", class: look, onclick: click }, text);
const linear = (from, to, start, end) => (value) => start + (value - from) / (to - from) * (end - start);

function choice(question, options, value, change) {
  const name = `touch-${choice.made = (choice.made || 0) + 1}`;
  const inputs = options.map(([key]) => make("input", { type: "radio", name, value: key, checked: key === value, onchange: () => change(key) }));
  const labels = options.map(([, text], i) => make("label", {}, inputs[i], text));
  return make("fieldset", {}, make("legend", {}, question), labels);
}
function slider(text, { min, max, step, value, say = fixed }, change) {
  const id = `touch-slider-${slider.made = (slider.made || 0) + 1}`;
  const output = make("output", { for: id }), input = make("input", { id, type: "range", min, max, step, value });
  const tell = () => { output.textContent = say(Number(input.value)); input.setAttribute("aria-valuetext", output.textContent); };
  input.addEventListener("input", () => { tell(); change(Number(input.value)); });
  tell();
  const element = make("div", { class: "slider" }, make("label", { for: id }, text), output, input);
  return { element, input, set(number) { input.value = number; tell(); } };
}
// A panel of a figure: title, grid, axes; x and y are { from, to, ticks, say } and come back as functions.
function panel(box, em, { title, x, y, xlabel }) {
  const [left, top, width, height] = box, bottom = top + height;
  const atX = linear(x.from, x.to, left, left + width), atY = linear(y.from, y.to, bottom, top);
  const parts = [
    (x.grid === false ? [] : x.ticks).map((value) => rule(atX(value), top, atX(value), bottom, "grid")),
    y.ticks.map((value) => rule(left, atY(value), left + width, atY(value), "grid")),
    rule(left, top, left, bottom, "axis"), rule(left, bottom, left + width, bottom, "axis"),
    x.ticks.map((value) => words(atX(value), bottom + 1.1 * em, x.say(value))),
    y.ticks.map((value) => words(left - 0.4 * em, atY(value) + 0.3 * em, y.say(value), "", "end")),
    title ? words(left + width / 2, top - 0.7 * em, title, "title") : null,
    xlabel ? words(left + width / 2, bottom + 2.3 * em, xlabel) : null,
  ];
  return { parts: parts.flat(), x: atX, y: atY };
}
// What is drawn is drawn anew each time; what had the focus has it again.
function paint(svg, width, height, ...children) {
  const focused = svg.getRootNode().activeElement, key = focused && svg.contains(focused) && focused.dataset.key;
  svg.setAttribute("viewBox", `0 0 ${Math.round(width)} ${Math.round(height)}`);
  svg.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (key) svg.querySelector(`[data-key="${key}"]`)?.focus();
}
function start(name, build, pure) {
  const keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown", "Enter", " "];
  const mount = (place) => {
    if (place.shadowRoot) return;
    const jupyter = place.closest("[data-jp-theme-light]");
    if (jupyter) place.style.colorScheme = jupyter.dataset.jpThemeLight === "false" ? "dark" : "light";
    place.dataset.lmSuppressShortcuts = "true";  // of JupyterLab; and a deck's keys stay here, too
    place.addEventListener("keydown", (event) => { if (keys.includes(event.key)) event.stopPropagation(); });
    const section = make("section"), root = place.attachShadow({ mode: "open" });
    root.append(make("style", {}, CSS), section);
    const again = () => render(section.clientWidth || 640, parseFloat(getComputedStyle(place).fontSize));
    const render = build(section, again);
    again();
    let width = section.clientWidth;
    new ResizeObserver(() => { if (section.clientWidth && section.clientWidth !== width) { width = section.clientWidth; again(); } }).observe(section);
  };
  window.touch = { ...window.touch, [name]: { ...pure, mount } };
  for (const place of document.querySelectorAll(`.touch[data-touch="${name}"]`)) mount(place);
}
