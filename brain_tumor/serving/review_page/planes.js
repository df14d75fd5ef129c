// Three planes through a volume: each picture is asked for when it is looked at, the newest one where several wait.
() => {
  const AXIS = { sagittal: 0, coronal: 1, axial: 2 };
  const part = document.getElementById("bt-answer-part");
  if (!part) return;
  const LATE = 400; // ms, after which what is shown is taken away and the wait is spoken of
  let shown = null; // the planes that are on the page

  // Shows the newest address that it was given, one request at a time; `told` hears of each answer, or of none for long.
  const loader = (image, told) => {
    let busy = false, next = null, last = null;
    const show = (blob) => {
      if (image.src) URL.revokeObjectURL(image.src);
      if (blob) image.src = URL.createObjectURL(blob);
      else image.removeAttribute("src");
      image.hidden = !blob;
    };
    const ask = async (address) => {
      if (address === last) return;
      last = address;
      if (busy) { next = address; return; }
      busy = true;
      image.setAttribute("aria-busy", "true");
      const late = setTimeout(() => { show(null); told(null); }, LATE);
      try {
        const answer = address ? await fetch(address) : null;
        const blob = answer?.status === 200 ? await answer.blob() : null;
        clearTimeout(late);
        if (image.isConnected) { show(blob); if (answer) await told(answer); }
      } catch (error) { // the page has ended, say
        clearTimeout(late);
        last = null;
      }
      busy = false;
      image.removeAttribute("aria-busy");
      if (next !== null) { const waiting = next; next = last = null; await ask(waiting); }
    };
    return { ask, end: () => { if (image.src) URL.revokeObjectURL(image.src); } };
  };

  const planes = (root) => {
    const numbers = (text) => text.split(",").map(Number);
    const shape = numbers(root.dataset.shape), at = numbers(root.dataset.at);
    const axis = root.dataset.axis === "" ? null : Number(root.dataset.axis);
    const one = (name) => root.querySelector(name);
    const level = one(".bt-level"), width = one(".bt-width"), said = one(".bt-map-said"), peak = one(".bt-peak");
    let top = null; // the voxel at which a whole volume's map is greatest

    const tell = (text) => { if (said.textContent !== text) said.textContent = text; };
    const ofPicture = async (answer) => { if (answer && !answer.ok) tell(await answer.text()); };
    const ofMap = async (answer) => {
      if (!answer) return tell("The map is made …");
      if (!answer.ok) return tell(await answer.text());
      const where = answer.headers.get("Peak");
      top = where ? numbers(where) : null;
      peak.hidden = !top;
      tell(answer.status === 204 && !top ? "Nothing in the map speaks for this class." : "");
    };
    const views = [...root.querySelectorAll(".bt-plane")].map((figure) => {
      const own = AXIS[figure.dataset.plane];
      const [across, up] = [0, 1, 2].filter((each) => each !== own);
      return {
        figure, own, across, up, name: figure.dataset.plane,
        cut: figure.querySelector(".bt-cut"), range: figure.querySelector("input"), output: figure.querySelector("output"),
        picture: loader(figure.querySelector(".bt-slice"), ofPicture),
        map: loader(figure.querySelector(".bt-map"), ofMap),
      };
    });

    const pictures = () => {
      for (const view of views) {
        const of = `${root.dataset.of}/${view.name}/${at[view.own]}`;
        view.picture.ask(`plane/${of}?level=${level.value}&width=${width.value}`);
      }
    };
    const maps = () => {
      const whose = Number(root.querySelector("[name=bt-map-of]:checked")?.value ?? 0);
      const asked = document.querySelectorAll("#bt-panels .bt-panel")[whose]?.dataset.map;
      for (const view of views) {
        const here = asked && (axis === null || axis === view.own);
        view.map.ask(here ? `map/${root.dataset.of}/${view.name}/${at[view.own]}?${asked}` : "");
      }
    };
    const marks = () => {
      for (const view of views) {
        const share = (each) => `${(100 * (shape[each] - at[each] - 0.5)) / shape[each]}%`;
        view.cut.querySelector(".bt-down").style.left = share(view.across);
        view.cut.querySelector(".bt-across").style.top = share(view.up);
        view.range.value = at[view.own] + 1;
        view.output.textContent = at[view.own] + 1;
      }
      for (const bar of root.querySelectorAll(".bt-attention button")) bar.removeAttribute("aria-current");
      const bars = [...root.querySelectorAll(".bt-attention")];
      for (const group of bars) {
        const near = [...group.querySelectorAll("button")];
        near.sort((a, b) => Math.abs(a.dataset.at - at[2]) - Math.abs(b.dataset.at - at[2]));
        near[0].setAttribute("aria-current", "true");
      }
    };
    // Gradio's own slider, which is not shown beside planes, asks for what is said of the slice.
    const slider = () => document.querySelector("#bt-slice input[type=range]");
    const follow = () => {
      const range = axis === null ? null : slider();
      if (!range || Number(range.value) === at[axis] + 1) return;
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(range, at[axis] + 1);
      range.dispatchEvent(new Event("input", { bubbles: true }));
      range.dispatchEvent(new Event("change", { bubbles: true }));
    };
    const go = (moves) => {
      for (const [each, place] of moves) at[each] = Math.min(Math.max(place, 0), shape[each] - 1);
      marks(); pictures(); maps(); follow();
    };

    for (const view of views) {
      view.range.addEventListener("input", () => go([[view.own, view.range.value - 1]]));
      let turned = 0;
      view.cut.addEventListener("wheel", (event) => {
        event.preventDefault();
        turned += event.deltaY;
        if (Math.abs(turned) < 30) return;
        go([[view.own, at[view.own] - Math.sign(turned)]]);
        turned = 0;
      }, { passive: false });
      const point = (event) => {
        const box = view.cut.getBoundingClientRect();
        const place = (share, each) => [each, shape[each] - 1 - Math.floor(share * shape[each])];
        go([
          place((event.clientX - box.left) / box.width, view.across),
          place((event.clientY - box.top) / box.height, view.up),
        ]);
      };
      view.cut.addEventListener("pointerdown", (event) => {
        if (event.button === 0) point(event);
        if (event.button !== 1) view.cut.setPointerCapture(event.pointerId);
      });
      view.cut.addEventListener("pointermove", (event) => {
        if (event.buttons === 1) point(event);
        if (event.buttons === 2) { // as viewers do: to the right wider, up darker
          width.value = Number(width.value) + event.movementX;
          level.value = Number(level.value) - event.movementY / 2;
          gray();
        }
      });
      view.cut.addEventListener("contextmenu", (event) => event.preventDefault());
    }
    const gray = () => {
      for (const each of [level, width]) each.parentElement.querySelector("output").textContent = each.value;
      pictures();
    };
    for (const each of [level, width]) each.addEventListener("input", gray);
    one(".bt-reset").addEventListener("click", () => { level.value = 50; width.value = 100; gray(); });
    peak.addEventListener("click", () => { if (top) go([[0, top[0]], [1, top[1]], [2, top[2]]]); });
    one(".bt-cross").addEventListener("change", (event) => root.classList.toggle("bt-plain", !event.target.checked));
    for (const each of root.querySelectorAll("[name=bt-map-of]")) each.addEventListener("change", maps);
    for (const bar of root.querySelectorAll(".bt-attention button")) {
      bar.addEventListener("click", () => go([[2, Number(bar.dataset.at)]]));
    }
    marks(); pictures(); maps();
    const end = () => { for (const view of views) { view.picture.end(); view.map.end(); } };
    return { root, maps, end };
  };

  const look = () => {
    const root = part.querySelector(".bt-planes");
    if (root !== shown?.root) {
      shown?.end();
      shown = root ? planes(root) : null;
    } else shown?.maps();
  };
  let asked = false;
  new MutationObserver(() => {
    if (asked) return;
    asked = true;
    queueMicrotask(() => { asked = false; look(); });
  }).observe(part, { childList: true, subtree: true });
}
