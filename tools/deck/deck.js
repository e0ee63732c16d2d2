// The formulas are typeset first, while all slides are laid out: MathJax cannot measure what reveal.js has hidden.
window.MathJax = {
  messageStyle: "none",
  skipStartupTypeset: true,
  showMathMenu: false,
  tex2jax: {inlineMath: [["$", "$"]], displayMath: [["$$", "$$"]], processEscapes: true, ignoreClass: "notes"},  // the speaker's view has no MathJax
  "HTML-CSS": {availableFonts: [], preferredFont: null, webFont: "STIX-Web", imageFont: null, matchFontHeight: false},
};

function showDeck() {
  document.body.classList.add("typeset");
  Reveal.initialize({
    width: 1280, height: 720, margin: 0, minScale: 0.1, maxScale: 4, center: false,
    hash: true, slideNumber: "c/t", transition: "none", controlsTutorial: false, plugins: [RevealNotes],
  });
}

// Without MathJax (a file lost on the way) the formulas stay as they were written, and the slides are shown all the same.
function startDeck() {
  if (!MathJax.Hub) return showDeck();
  MathJax.Hub.Queue(["Typeset", MathJax.Hub, document.querySelector(".slides")], showDeck);
}
