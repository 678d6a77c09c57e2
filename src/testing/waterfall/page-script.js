// Runs in the browser: trace-html.ts puts the text of this function into the page. All rows are there already, as HTML;
// this adds collapsing, zoom, search, details and the keyboard.

export function runPage(timeMarks) {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("spans").textContent);
  const details = $("details");
  const find = $("find");
  const traces = [...document.querySelectorAll("section.trace")].map(setUpTrace);
  const all = traces.flatMap(({ rows }) => rows);
  const traceOf = (row) => traces[Number(row.dataset.trace)];
  let selected;

  function setUpTrace(section, index) {
    const grid = section.querySelector(".grid");
    const rows = [...section.querySelectorAll(".body .row")];
    const trace = {
      grid,
      rows,
      ruler: section.querySelector(".ruler"),
      duration: data[index].duration,
      width: 0,
      from: 0,
      zoom: 1,
    };
    // The width comes from the observer: to read it from the page would lay out all traces again for each of them.
    new ResizeObserver(([{ contentRect }]) => {
      trace.width = contentRect.width;
      drawRuler(trace);
    }).observe(trace.ruler);
    trace.ruler.addEventListener("pointerdown", (event) => dragRange(trace, event));
    trace.ruler.addEventListener("dblclick", () => zoomTo(trace, 0, 1));
    grid.addEventListener("wheel", (event) => turnWheel(trace, event), { passive: false });
    grid.querySelector(".grip").addEventListener("pointerdown", dragColumn);
    return trace;
  }

  // --- zoom ---------------------------------------------------------------------------------------------------------

  /** The smallest part that is shown: a millionth, or less of a trace so long that its spans would not be seen. */
  const leastPart = ({ duration }) => Math.max(1e-9, Math.min(1e-6, 1e5 / duration));

  /** Shows the part of the trace from `from` to `to`, which are fractions of its duration. */
  function zoomTo(trace, from, to) {
    const width = Math.min(1, Math.max(to - from, leastPart(trace)));
    trace.from = Math.min(Math.max(0, from), 1 - width);
    trace.zoom = 1 / width;
    trace.grid.style.setProperty("--from", String(trace.from));
    trace.grid.style.setProperty("--zoom", String(trace.zoom));
    drawRuler(trace);
  }

  function zoomAround(trace, center, factor) {
    const width = 1 / (trace.zoom * factor);
    const share = (center - trace.from) * trace.zoom;
    zoomTo(trace, center - share * width, center - share * width + width);
  }

  function drawRuler({ grid, ruler, duration, width, from, zoom }) {
    const marks = timeMarks(from * duration, (from + 1 / zoom) * duration, Math.max(1, Math.floor(width / 90)));
    const position = (at) => (duration === 0 ? 0 : (at / duration - from) * zoom * width);
    // The lines in the lanes, a step apart.
    const [first, second] = marks;
    grid.style.setProperty("--step", second === undefined ? "200%" : `${position(second.at) - position(first.at)}px`);
    grid.style.setProperty("--phase", first === undefined ? "0" : `${position(first.at)}px`);
    ruler.replaceChildren(
      ...marks.flatMap(({ at, text }) => {
        const x = position(at);
        // Cut at the edge, 200 ms would be read as 20.
        if (x + 7 * text.length > width) return [];
        const mark = document.createElement("span");
        mark.textContent = text;
        mark.style.left = `${x}px`;
        return [mark];
      }),
    );
  }

  const center = ({ from, zoom }) => from + 0.5 / zoom;

  function dragRange(trace, event) {
    const { ruler } = trace;
    const box = ruler.getBoundingClientRect();
    const at = ({ clientX }) => Math.min(1, Math.max(0, (clientX - box.left) / box.width));
    const start = at(event);
    const shade = document.createElement("mark");
    ruler.append(shade);
    ruler.setPointerCapture(event.pointerId);
    const move = (moved) => {
      shade.style.left = `${Math.min(start, at(moved)) * 100}%`;
      shade.style.width = `${Math.abs(at(moved) - start) * 100}%`;
    };
    ruler.addEventListener("pointermove", move);
    ruler.addEventListener(
      "pointerup",
      (released) => {
        ruler.removeEventListener("pointermove", move);
        shade.remove();
        const [low, high] = [start, at(released)].toSorted((a, b) => a - b);
        if ((high - low) * box.width > 4) zoomTo(trace, trace.from + low / trace.zoom, trace.from + high / trace.zoom);
      },
      { once: true },
    );
  }

  function turnWheel(trace, event) {
    const box = trace.ruler.getBoundingClientRect();
    if (event.clientX < box.left) return;
    if (event.ctrlKey || event.metaKey) {
      const at = trace.from + (event.clientX - box.left) / box.width / trace.zoom;
      zoomAround(trace, at, Math.exp(-event.deltaY / 200));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      pan(trace, (event.deltaX || event.deltaY) / box.width);
    } else return;
    event.preventDefault();
  }

  function pan(trace, share) {
    const by = share / trace.zoom;
    zoomTo(trace, trace.from + by, trace.from + by + 1 / trace.zoom);
  }

  function zoomToRow(row) {
    const { s, w } = spanOf(row);
    const trace = traceOf(row);
    const margin = Math.max(w * 0.1, leastPart(trace));
    zoomTo(trace, s - margin, s + w + margin);
  }

  function dragColumn(event) {
    const grip = event.currentTarget;
    const start = event.clientX - grip.parentElement.clientWidth;
    grip.setPointerCapture(event.pointerId);
    const move = ({ clientX }) =>
      document.body.style.setProperty("--names", `${Math.max(120, Math.min(clientX - start, innerWidth - 420))}px`);
    grip.addEventListener("pointermove", move);
    grip.addEventListener("pointerup", () => grip.removeEventListener("pointermove", move), { once: true });
  }

  // --- the tree -----------------------------------------------------------------------------------------------------

  const levelOf = (row) => Number(row.getAttribute("aria-level"));
  const isOpen = (row) => row.getAttribute("aria-expanded") === "true";
  const spanOf = (row) => data[Number(row.dataset.trace)].spans[Number(row.dataset.span)];

  function expand(rows, open) {
    for (const row of rows) if (row.hasAttribute("aria-expanded")) row.setAttribute("aria-expanded", String(open));
    for (const trace of new Set(rows.map(traceOf))) showRows(trace);
  }

  /** Hides what is below a row that is collapsed. */
  function showRows({ rows }) {
    let closed = Infinity;
    for (const row of rows) {
      const level = levelOf(row);
      row.hidden = level > closed;
      if (!row.hidden) closed = row.getAttribute("aria-expanded") === "false" ? level : Infinity;
    }
    if (selected?.hidden) select(parentOf(selected, true));
  }

  function parentOf(row, visible = false) {
    const { rows } = traceOf(row);
    let level = levelOf(row);
    for (let index = rows.indexOf(row) - 1; index >= 0 && level > 1; index -= 1) {
      if (levelOf(rows[index]) >= level) continue;
      level = levelOf(rows[index]);
      if (!visible || !rows[index].hidden) return rows[index];
    }
    return undefined;
  }

  function reveal(row) {
    const above = [];
    for (let parent = parentOf(row); parent !== undefined; parent = parentOf(parent)) above.push(parent);
    expand(
      above.filter((each) => !isOpen(each)),
      true,
    );
  }

  function select(row, focus = true) {
    if (row === undefined) return;
    if (selected !== undefined) {
      selected.classList.remove("selected");
      selected.removeAttribute("aria-selected");
    }
    for (const each of traceOf(row).rows) if (each.tabIndex === 0) each.tabIndex = -1;
    selected = row;
    row.tabIndex = 0;
    row.classList.add("selected");
    row.setAttribute("aria-selected", "true");
    if (focus) row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
    if (!details.hidden) showDetails(row);
  }

  function step(row, by) {
    const visible = all.filter((each) => !each.hidden);
    select(visible[Math.min(Math.max(0, visible.indexOf(row) + by), visible.length - 1)]);
  }

  // --- search -------------------------------------------------------------------------------------------------------

  let hits = [];

  function search() {
    const words = find.value.trim().toLowerCase();
    hits = words === "" ? [] : all.filter((row) => textOf(row).includes(words));
    const found = new Set(hits);
    for (const row of all) {
      row.classList.toggle("hit", found.has(row));
      row.classList.toggle("dim", words !== "" && !found.has(row));
    }
    $("found").value = words === "" ? "" : `${hits.length} found`;
  }

  /** What is searched: the name, the kind, the failure, and the attributes. */
  function textOf(row) {
    const span = spanOf(row);
    span.text ??= [span.name, span.kind, span.id, span.message, ...span.attributes.flat()].join("\n").toLowerCase();
    return span.text;
  }

  function next(rows, by) {
    if (rows.length === 0) return;
    const at = selected === undefined ? -1 : all.indexOf(selected);
    const following =
      by > 0
        ? (rows.find((row) => all.indexOf(row) > at) ?? rows[0])
        : (rows.findLast((row) => all.indexOf(row) < at) ?? rows.at(-1));
    reveal(following);
    select(following);
  }

  // --- details ------------------------------------------------------------------------------------------------------

  function element(name, text, className = "") {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    made.className = className;
    return made;
  }

  function table(pairs, className) {
    const list = element("dl", undefined, className);
    for (const [key, value] of pairs) list.append(element("dt", key), element("dd", value));
    return list;
  }

  function showDetails(row) {
    const span = spanOf(row);
    const close = element("button", "✕", "close");
    close.type = "button";
    close.setAttribute("aria-label", "Close the details");
    close.addEventListener("click", hideDetails);
    const parts = [close, element("h2", span.name)];
    if (span.message !== "") parts.push(element("p", span.message, "said"));
    for (const note of span.notes) parts.push(element("p", note, "said odd"));
    parts.push(element("h3", "Span"), table(span.facts));
    if (span.attributes.length > 0) parts.push(element("h3", "Attributes"), table(span.attributes, "wide"));
    for (const { name, at, attributes } of span.events)
      parts.push(element("h3", `Event ${name} at ${at}`), table(attributes, "wide"));
    for (const { title, attributes } of span.links)
      parts.push(element("h3", `Link to ${title}`), table(attributes, "wide"));
    details.replaceChildren(...parts);
    details.scrollTop = 0;
    details.hidden = false;
    document.body.classList.add("open");
  }

  function hideDetails() {
    details.hidden = true;
    document.body.classList.remove("open");
    selected?.focus({ preventScroll: true });
  }

  // --- events -------------------------------------------------------------------------------------------------------

  const actions = {
    collapse: () => expand(all, false),
    expand: () => expand(all, true),
    in: () => zoomSelected(1.6),
    out: () => zoomSelected(1 / 1.6),
    reset: () => traces.forEach((trace) => zoomTo(trace, 0, 1)),
    theme: () => {
      const isDark =
        document.documentElement.dataset.theme === "dark" ||
        (document.documentElement.dataset.theme === undefined && matchMedia("(prefers-color-scheme: dark)").matches);
      document.documentElement.dataset.theme = isDark ? "light" : "dark";
    },
  };

  function zoomSelected(factor) {
    if (selected === undefined) return traces.forEach((trace) => zoomAround(trace, center(trace), factor));
    const trace = traceOf(selected);
    const { s, w } = spanOf(selected);
    const middle = s + w / 2;
    const isVisible = middle >= trace.from && middle <= trace.from + 1 / trace.zoom;
    return zoomAround(trace, isVisible ? middle : center(trace), factor);
  }

  document.querySelector(".top").addEventListener("click", ({ target }) => actions[target.dataset.do]?.());
  find.addEventListener("input", search);
  find.addEventListener("keydown", (event) => {
    if (event.key === "Enter") next(hits, event.shiftKey ? -1 : 1);
    if (event.key === "Escape") {
      find.value = "";
      search();
      select(selected ?? all[0]);
    }
    if (["Enter", "Escape"].includes(event.key)) event.preventDefault();
  });

  document.addEventListener("click", ({ target }) => {
    const row = target.closest?.(".body .row");
    if (!row) return;
    select(row);
    if (target.closest(".twist") && row.hasAttribute("aria-expanded")) expand([row], !isOpen(row));
    else showDetails(row);
  });
  document.addEventListener("dblclick", ({ target }) => {
    const row = target.closest?.(".body .row");
    if (row && target.closest(".lane")) zoomToRow(row);
  });

  const keys = {
    ArrowDown: (row) => step(row, 1),
    ArrowUp: (row) => step(row, -1),
    PageDown: (row) => step(row, 20),
    PageUp: (row) => step(row, -20),
    Home: (row) => step(row, -all.length),
    End: (row) => step(row, all.length),
    ArrowRight: (row) => (row.getAttribute("aria-expanded") === "false" ? expand([row], true) : step(row, 1)),
    ArrowLeft: (row) => (isOpen(row) ? expand([row], false) : select(parentOf(row))),
    Enter: (row) => showDetails(row),
    " ": (row) => (details.hidden ? showDetails(row) : hideDetails()),
    z: (row) => zoomToRow(row),
  };
  const pageKeys = {
    "/": () => find.focus(),
    Escape: hideDetails,
    "+": actions.in,
    "=": actions.in,
    "-": actions.out,
    0: actions.reset,
    "[": () => traces.forEach((trace) => pan(trace, -0.25)),
    "]": () => traces.forEach((trace) => pan(trace, 0.25)),
    c: actions.collapse,
    e: actions.expand,
    n: () =>
      next(
        all.filter((row) => row.classList.contains("failed")),
        1,
      ),
    t: actions.theme,
  };
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || target === find) return;
    const row = target.closest?.(".body .row");
    // A button handles Enter and Space itself.
    const action = row && Object.hasOwn(keys, key) ? keys[key] : Object.hasOwn(pageKeys, key) && pageKeys[key];
    if (!action) return;
    event.preventDefault();
    // The Tab key has brought the focus to a row that is not selected.
    if (row && row !== selected) select(row);
    action(row);
  });
}
