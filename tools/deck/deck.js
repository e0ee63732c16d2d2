// The formulas are typeset first, while all slides are laid out: MathJax cannot measure what reveal.js has hidden.
window.MathJax = {
  messageStyle: "none",
  skipStartupTypeset: true,
  showMathMenu: false,
  tex2jax: {inlineMath: [["$", "$"]], displayMath: [["$$", "$$"]], processEscapes: true, ignoreClass: "notes"},
  "HTML-CSS": {availableFonts: [], preferredFont: null, webFont: "STIX-Web", imageFont: null, matchFontHeight: false},
};

const upright = matchMedia("(max-width: 700px) and (orientation: portrait)");
const printed = /print-pdf/.test(location.search), framed = window !== window.parent;  // framed: in the speaker's view

// Without MathJax (a file lost on the way) the formulas stay as they were written, and the slides are shown all the same.
function startDeck() {
  const fonts = document.fonts.ready;
  if (!MathJax.Hub) return fonts.then(showDeck);
  fonts.then(() => MathJax.Hub.Queue(["Typeset", MathJax.Hub, document.querySelector(".slides")], showDeck));
}

function showDeck() {
  document.querySelectorAll(".slides > section").forEach(fit);
  document.querySelectorAll(".ruler").forEach(watchRuler);
  document.querySelectorAll(".scale.choice").forEach(watchChoice);
  document.body.classList.add("typeset");
  if (!printed && !framed) {
    upright.addEventListener("change", () => location.reload());
    if (upright.matches) return showPage();
  }
  Reveal.initialize({
    width: 1280, height: 720, margin: 0, minScale: 0.1, maxScale: 4, center: false, scrollActivationWidth: null,
    hash: true, transition: "none", controls: false, overview: false, viewDistance: 99, mobileViewDistance: 99,
    pdfSeparateFragments: false, totalTime: TOTAL, plugins: [RevealNotes],
  });
  Reveal.addKeyBinding({keyCode: 79, key: "O", description: "All slides"}, showAll);
  const does = {back: () => Reveal.prev(), on: () => Reveal.next(), all: showAll};
  document.querySelectorAll(".keys button").forEach(button => {
    button.onclick = () => { does[button.dataset.key](); button.blur(); };
  });
}

// Upright on a phone: everything at once, in a page that scrolls; what is wider than the page scrolls by itself.
function showPage() {
  document.body.classList.add("page");
  document.querySelectorAll(".slides figure, .slides .text, .slides table, .slides pre").forEach(part => {
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
  });
}

// Words are as large as their room allows, in three sizes, so that a deck keeps its rhythm.
function fit(slide) {
  const body = slide.querySelector(".body");
  if (!body || slide.matches(".listing, .figure, .thing")) return;
  for (const size of [1.2, 1, 0.86, 0.77]) {
    slide.style.setProperty("--fit", size);
    if (body.scrollHeight <= body.clientHeight + 1 && body.scrollWidth <= body.clientWidth + 1) return;
  }
}

// --- pointing at a scale: the star goes there, and shows again in the foot of the next slide

function place(star, share) {
  const left = +star.dataset.left, right = +star.dataset.right;
  star.setAttribute("transform", `translate(${left + (right - left) * share} ${star.dataset.top})`);
}

function recall(scale, tell) {
  const slide = scale.closest("section"), number = [...slide.querySelectorAll(".scale")].indexOf(scale);
  document.querySelectorAll(`.guessed[data-of="${slide.id}-${number}"]`).forEach(mark => { mark.hidden = false; tell(mark); });
}

function watchRuler(ruler) {
  const input = ruler.querySelector("input"), marks = input.dataset.marks.split("|");
  input.addEventListener("input", () => {
    const share = input.value / 1000;
    ruler.classList.add("pointed");
    place(ruler.querySelector(".star"), share);
    input.setAttribute("aria-valuetext", `near ${marks[Math.round(share * (marks.length - 1))]}`);
    recall(ruler.closest(".scale"), mark => place(mark.querySelector(".star"), share));
  });
  input.addEventListener("pointerup", () => input.blur());  // so that → goes to the next slide again
}

function watchChoice(scale) {
  const buttons = [...scale.querySelectorAll("button")];
  for (const button of buttons) button.onclick = () => {
    buttons.forEach(other => other.setAttribute("aria-pressed", other === button));
    recall(scale, mark => { mark.querySelector("b").textContent = button.innerText.replace(/\s+/, " · "); });
    button.blur();
  };
}

// --- all slides, as a grid of small ones

function showAll() {
  const dialog = document.querySelector("dialog.all");
  if (dialog.open) return dialog.close();
  const list = document.createElement("ol"), now = Reveal.getIndices().h;
  Reveal.getSlides().forEach((slide, number) => {
    const item = document.createElement("li"), link = document.createElement("a");
    const frame = document.createElement("span"), copy = slide.cloneNode(true);
    copy.querySelectorAll(".notes, script").forEach(e => e.remove());
    copy.querySelectorAll("a").forEach(e => e.removeAttribute("href"));
    copy.removeAttribute("id");
    copy.removeAttribute("hidden");
    copy.style.display = "block";
    copy.inert = true;
    frame.className = "thumb";
    frame.setAttribute("aria-hidden", "true");
    frame.innerHTML = '<span class="reveal"><span class="slides"></span></span>';
    frame.querySelector(".slides").append(copy);
    link.href = `#/${slide.id}`;
    if (number === now) link.setAttribute("aria-current", "true");
    link.onclick = () => { dialog.close(); Reveal.slide(number); };
    link.append(frame, `${number + 1} · ${slide.dataset.title}`);
    item.append(link);
    list.append(item);
  });
  dialog.replaceChildren(list);
  dialog.onkeydown = event => { if (event.key === "o" || event.key === "O") dialog.close(); event.stopPropagation(); };
  dialog.showModal();
  const scale = list.querySelector(".thumb").clientWidth / 1280;
  list.querySelectorAll(".thumb").forEach(thumb => thumb.style.setProperty("--scale", scale));
  list.querySelector("[aria-current]")?.focus();
  list.querySelector("[aria-current]")?.scrollIntoView({block: "center"});
}
