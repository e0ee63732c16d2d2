// What a page of the site does beside showing itself: guesses, filters, the path, and what a keyboard needs.
// It is loaded in the head, so that what is to be guessed is hidden before it is drawn; without it everything is shown.
(() => {
  "use strict";
  document.documentElement.classList.add("js");
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  const make = (tag, name, text) => Object.assign(document.createElement(tag), {className: name, textContent: text});
  const memory = {  // a browser may forbid it
    get: key => { try { return sessionStorage.getItem(key); } catch { return null; } },
    set: (key, value) => { try { sessionStorage.setItem(key, value); } catch { /* then nothing is remembered */ } },
  };

  // --- guesses: what follows such a form, up to the next heading, is hidden until it has the class "done"
  const keyOf = form => `guess ${form.id}`;

  function reveal(form, said, move = false) {
    if (form.classList.contains("done")) return;
    form.classList.add("done");
    const words = said ? "★ You guessed " : "Shown without a guess.";
    const answer = make("p", "answer", words);
    if (said) answer.append(make("b", "", said));
    const again = make("button", "again", "guess again");
    again.type = "button";
    again.addEventListener("click", () => {
      memory.set(keyOf(form), "");
      form.classList.remove("done");
      all(`[data-of="${form.id}"]`).forEach(each => each.remove());
      form.querySelector("input").focus();
    });
    answer.append(" ", again);
    answer.dataset.of = form.id;
    answer.tabIndex = -1;
    form.after(answer);
    if (said) beside(form, said);
    if (move) answer.focus({preventScroll: true});
    if (window.MathJax && MathJax.Hub) MathJax.Hub.Queue(["Rerender", MathJax.Hub, form.parentElement]);  // it cannot measure what is hidden
    document.dispatchEvent(new Event("revealed"));
  }

  function beside(form, said) {  // the first result that follows
    for (let next = form.nextElementSibling; next && next.tagName !== "SECTION"; next = next.nextElementSibling) {
      const output = next.querySelector(".cell_output");
      if (!output) continue;
      const note = make("p", "yours", "★ your guess: ");
      note.append(make("b", "", said));
      note.dataset.of = form.id;
      output.prepend(note);
      return;
    }
  }

  function guesses() {
    const forms = all("form.guess");
    for (const form of forms) {
      const fields = all("input", form);
      form.addEventListener("submit", event => {
        event.preventDefault();
        const said = fields.map(field => fields.length > 1 ? `${field.name.replaceAll("_", " ")}: ${field.value.trim()}` : field.value.trim()).join(", ");
        memory.set(keyOf(form), `= ${said}`);
        reveal(form, said, true);
      });
      fields.forEach(field => { field.required = true; });
      form.querySelector(".show").addEventListener("click", () => { memory.set(keyOf(form), "shown"); reveal(form, "", true); });
      const before = memory.get(keyOf(form));
      if (before) reveal(form, before.startsWith("= ") ? before.slice(2) : "");
    }
    const place = document.querySelector(".run");
    if (place && forms.length) {
      const button = make("button", "show-all", `Show all results (${forms.length} guesses)`);
      button.type = "button";
      button.addEventListener("click", () => { forms.forEach(form => reveal(form, "")); button.remove(); });
      place.append(button);
    }
    const toAnchor = () => {
      let target = null;
      try { target = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { return; }
      if (!target || !location.hash) return;
      for (const form of forms) {
        const hides = form.parentElement === target.closest("section") && form.compareDocumentPosition(target) & 4;
        if (hides) reveal(form, "");
      }
      for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
      if (target.matches("details")) target.open = true;
      target.scrollIntoView();
    };
    addEventListener("hashchange", toAnchor);
    if (location.hash) toAnchor();
  }

  // --- filters: of the entries that follow a form
  function filters() {
    for (const form of all("form.filters")) {
      const entries = all(":scope > li", form.nextElementSibling), asked = new URLSearchParams(location.search);
      const fields = all("select, input", form);
      fields.forEach(field => { field.value = asked.get(field.name) || ""; });
      const look = () => {
        const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
        let shown = 0;
        for (const entry of entries) {
          const text = entry.textContent.toLowerCase();
          const fits = all("select", form).every(({name, value}) => !value || entry.dataset[name] === value) && words.every(word => text.includes(word));
          entry.hidden = !fits;
          shown += fits;
        }
        form.querySelector("output").textContent = shown === entries.length ? `${shown} in all` : `${shown} of ${entries.length}`;
      };
      form.addEventListener("input", () => {
        const query = new URLSearchParams(fields.filter(field => field.value).map(field => [field.name, field.value])).toString();
        history.replaceState(null, "", location.pathname + (query ? `?${query}` : ""));
        look();
      });
      form.addEventListener("submit", event => event.preventDefault());
      look();
    }
  }

  // --- the path on the home page: what a notebook needs, and what needs it
  function path() {
    const map = document.querySelector(".map");
    if (!map) return;
    const mark = number => {
      all(".arc", map).forEach(arc => arc.classList.toggle("on", [arc.dataset.to, arc.dataset.from].includes(number)));
      all("li", map).forEach(item => item.classList.toggle("near", item.dataset.needs.split(" ").includes(number) || !!map.querySelector(`li[data-number="${number}"][data-needs~="${item.dataset.number}"]`)));
    };
    for (const item of all("li", map)) {
      item.addEventListener("pointerenter", () => mark(item.dataset.number));
      item.addEventListener("focusin", () => mark(item.dataset.number));
      item.addEventListener("pointerleave", () => mark(""));
      item.addEventListener("focusout", () => mark(""));
    }
  }

  // --- what a keyboard needs: the theme's menus are labels of hidden boxes; what scrolls sideways takes the focus
  function keyboard() {
    const names = {__navigation: "The pages of this site", __toc: "On this page"};
    for (const label of all("label.nav-overlay-icon, label.toc-overlay-icon")) {
      const box = document.getElementById(label.htmlFor);
      Object.assign(label, {tabIndex: 0, role: "button"});
      label.setAttribute("aria-label", names[label.htmlFor]);
      const say = () => label.setAttribute("aria-expanded", box.checked);
      box.addEventListener("change", say);
      say();
      const turn = on => { box.checked = on; box.dispatchEvent(new Event("change")); };
      label.addEventListener("keydown", event => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        turn(!box.checked);
        if (box.checked) document.querySelector(label.htmlFor === "__toc" ? ".toc-drawer a" : ".sidebar-drawer a")?.focus();
      });
      addEventListener("keydown", event => {
        if (event.key !== "Escape" || !box.checked) return;
        turn(false);
        if (label.offsetParent) label.focus();
      });
    }
  }

  function scrollers() {
    for (const each of all("article pre, article .table-wrapper, article .figure, .map, div.math, .toc-scroll, .sidebar-scroll")) {
      const over = each.scrollWidth > each.clientWidth + 1 || (each.matches(".toc-scroll, .sidebar-scroll") && each.scrollHeight > each.clientHeight + 1);
      if (over && each.clientWidth) each.tabIndex = 0;
      else if (each.tabIndex === 0) each.removeAttribute("tabindex");
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    // A page opened as a file may not read its neighbours, so the search shows no excerpts of them.
    if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
    guesses(); filters(); path(); keyboard(); scrollers();
    document.addEventListener("revealed", scrollers);
    document.addEventListener("toggle", scrollers, true);
  });
  addEventListener("load", scrollers);
  addEventListener("resize", scrollers);
})();
