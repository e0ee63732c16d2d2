function (id, data) {
  // Each copy of the figure that is not alive yet: a notebook may be open twice.
  for (const place of document.querySelectorAll(`[id="${id}"]:not(.live)`)) {
    const [button, slider, said] = place.querySelectorAll("button, input, output");
    const last = data.captions.length - 1;
    let frame = 0, timer = null;
    slider.max = last;
    const show = (number) => {
      frame = number;
      for (const [name, paths] of Object.entries(data.frames)) {
        place.querySelector(`[id="${name}"] path`).setAttribute("d", paths[frame]);
      }
      slider.value = frame;
      said.textContent = data.captions[frame];
    };
    const stop = () => { clearInterval(timer); timer = null; button.textContent = "play"; };
    const play = () => {
      button.textContent = "stop";
      timer = setInterval(() => place.isConnected ? show(frame === last ? 0 : frame + 1) : stop(), 90);
    };
    button.addEventListener("click", () => timer === null ? play() : stop());
    slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
    place.classList.add("live");
    show(0);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) stop(); else play();
  }
}
