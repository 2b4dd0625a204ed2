"use strict";
// Text from data reaches the page only through textContent, so that it can never become an element.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const make = (tag, name, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined && text !== null) node.textContent = text;
    return node;
  };
  const words = (tag, name, text) => { const node = make(tag, name); node.append(make("bdi", "", text)); return node; };

  // Figures: drawn when they come near the screen, all of them before printing.
  const figures = read("figures");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  // Points that stand for rows carry their places: a slice keeps those of its rows. Colour scales stay as they are for all rows.
  let kept = null;
  const cut = (trace) => {
    if (!kept || !Array.isArray(trace.customdata)) return trace;
    const inside = trace.customdata.map((r) => kept.has(r));
    const some = (v) => (v && v.bdata !== undefined ? some(unpack(v)) : Array.isArray(v) && v.length === inside.length ? v.filter((x, k) => inside[k]) : v);
    const out = { ...trace, x: some(trace.x), y: some(trace.y), hovertext: some(trace.hovertext), customdata: some(trace.customdata), marker: { ...trace.marker } };
    for (const key of ["color", "symbol", "size"]) if (trace.marker && trace.marker[key] !== undefined) out.marker[key] = some(trace.marker[key]);
    if (trace.error_y && trace.error_y.array) out.error_y = { ...trace.error_y, array: some(trace.error_y.array) };
    return out;
  };
  const arrays = { f8: Float64Array, f4: Float32Array, i4: Int32Array, i2: Int16Array, i1: Int8Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };
  const unpack = (packed) => [...new arrays[packed.dtype](Uint8Array.from(atob(packed.bdata), (c) => c.charCodeAt(0)).buffer)];
  let printing = false;
  const draw = (box) => {
    const figure = figures[box.dataset.figure];
    if (!figure || !window.Plotly) return;
    const narrow = box.clientWidth < 520;
    const layout = { ...figure.layout, autosize: true, width: undefined };
    layout.font = { ...layout.font, color: dark.matches && !printing ? "#d5dbe0" : "#333", size: narrow ? 11 : 12 };
    if (layout.title && layout.title.text) layout.title = { ...layout.title, text: layout.title.text.replace(/<br>(?=(FAIL|NOT TESTED|PASS): )/g, " · ").replaceAll("<br>", " ") };
    if (narrow && layout.title) layout.title = { ...layout.title, font: { size: 12 }, text: fold(layout.title.text, 46) };
    else if (layout.title) layout.title = { ...layout.title, text: fold(layout.title.text, Math.max(46, Math.floor(box.clientWidth / 7.6))) };
    // the title of an axis across is cut at both ends where the figure is narrower
    for (const key of Object.keys(layout)) if (/^xaxis\d*$/.test(key) && layout[key].title && layout[key].title.text && narrow) layout[key] = { ...layout[key], title: { ...layout[key].title, text: fold(layout[key].title.text.replaceAll("<br>", " "), Math.floor(box.clientWidth / 7)) } };
    const bare = (trace) => (narrow && trace.texttemplate ? { ...trace, texttemplate: "" } : trace);  // no room for numbers in the squares
    const options = { displayModeBar: false, responsive: true, doubleClick: "reset", scrollZoom: false };
    const shown = chosen(box, layout);
    Plotly.react(box, figure.data.map(cut).map(bare).map((trace, k) => (shown ? { ...trace, visible: shown[k] } : trace)), layout, options).then(() => unfold(box, (layout.margin || { t: 56 }).t, 3));
    box.dataset.drawn = "yes";
  };
  // Plotly's own list cannot be tapped where it is longer than the figure, nor reached by keys: the page shows a list of its own.
  const chosen = (box, layout) => {
    const menu = (layout.updatemenus || [])[0];
    if (!menu) return null;
    delete layout.updatemenus;
    layout.margin = { ...layout.margin, t: 56 };
    let label = box.previousElementSibling;
    if (!label || label.className !== "choice") {
      label = make("label", "choice");
      const list = make("select");
      menu.buttons.forEach((b, k) => { const option = make("option", "", b.label); option.value = k; list.append(option); });
      list.addEventListener("change", () => draw(box));
      label.append(make("span", "", menu.name || "show"), list);
      box.before(label);
    }
    return menu.buttons[label.querySelector("select").value].args[0].visible;
  };
  // A legend grows upwards where the figure is narrow: it must not reach the lines of the title. Plotly keeps a legend that has no
  // room inside the figure, so that the first look may see too little of what is missing.
  const unfold = (box, top, tries) => {
    const [title, legend] = [box.querySelector(".gtitle"), box.querySelector(".legend")];
    if (!title || !legend) return;
    const [above, below] = [title.getBoundingClientRect(), legend.getBoundingClientRect()];
    const more = Math.ceil(above.bottom + 6 - below.top);
    const beside = below.left >= above.right || below.top >= above.bottom + 6 || below.bottom <= above.top;
    if (!beside && tries) Plotly.relayout(box, { "margin.t": top + more, height: box.clientHeight + more }).then(() => unfold(box, top + more, tries - 1));
  };
  // Plotly does not break titles. Entities stay whole, because words are kept whole.
  const fold = (text, width) => {
    const lines = [""];
    for (const word of text.split(" ")) {
      if (lines[lines.length - 1].length + word.length > width && lines[lines.length - 1]) lines.push("");
      lines[lines.length - 1] += (lines[lines.length - 1] ? " " : "") + word;
    }
    return lines.slice(0, 3).join("<br>");
  };
  const boxes = [...document.querySelectorAll("[data-figure]")];
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
  }, { rootMargin: "600px" });
  boxes.forEach((box) => seen.observe(box));
  const drawAll = () => boxes.forEach((box) => { if (!box.dataset.drawn && box.clientWidth) draw(box); });
  // What a dark screen shows in light ink is drawn again in dark ink for paper.
  const inked = (paper) => { printing = paper; if (dark.matches) boxes.forEach((box) => { if (box.dataset.drawn) draw(box); }); };
  addEventListener("beforeprint", () => { document.querySelectorAll("details").forEach((d) => { d.open = true; }); inked(true); drawAll(); });
  addEventListener("afterprint", () => inked(false));
  dark.addEventListener("change", () => boxes.forEach((box) => { if (box.dataset.drawn) draw(box); }));

  // Rows to open.
  const all = read("rows-data");
  const table = document.querySelector("#row-table tbody");
  if (!table || !all.rows) return;
  const detail = document.getElementById("row-detail");
  const search = document.getElementById("row-search");
  const count = document.getElementById("row-count");
  const filters = [...document.querySelectorAll(".filters button")];
  const hasTruth = all.rows.some((r) => r.truth !== undefined);
  const selects = [...document.querySelectorAll("select[data-slice]")];
  const note = document.getElementById("slice-note");
  let kind = "";
  let open = null;

  const digits = (x, step) => {
    if (x === null || x === undefined) return "unknown";
    const size = Math.abs(x);
    const places = step > 0 ? Math.max(0, Math.min(8, 1 - Math.floor(Math.log10(step)))) : size >= 1000 || size === 0 ? 0 : Math.max(0, Math.min(8, 2 - Math.floor(Math.log10(size))));
    return size && size < 1e-6 ? x.toExponential(1) : x.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places }).replace("-", "\u2212");
  };
  const signed = (x, step) => (x > 0 ? "+" : "") + digits(x, step);
  const share = (x) => (100 * x).toFixed(1) + " %";
  const whole = (x) => (100 * x).toFixed(0) + " %";
  // names and cells written from right to left stay apart: "name = cell" would be read the other way round
  const apart = (text) => (/[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(text) ? "\u2068" + text + "\u2069" : text);
  const cellOf = (row, j) => {
    const at = all.shown.indexOf(j);
    const cell = at < 0 ? "" : row.cells[at];
    const unit = all.units[j] && cell !== "missing" ? " " + all.units[j] : "";
    return apart(all.columns[j]) + (cell ? " = " + apart(cell) + unit : "");
  };

  const haystack = all.rows.map((r) => [r.id, r.answer, r.truth, ...r.kinds, ...r.cells].join("\n").toLowerCase());
  const list = () => {
    const wanted = search.value.trim().toLowerCase();
    const inSlice = (r) => selects.every((s) => s.value === "" || r.slices[Number(s.dataset.slice)] === Number(s.value));
    const shown = all.rows.map((r, i) => i).filter((i) => (!kind || all.rows[i].kinds.includes(kind)) && inSlice(all.rows[i]) && (!wanted || haystack[i].includes(wanted)));
    table.replaceChildren(...shown.map(line));
    count.textContent = shown.length + " of " + all.rows.length + " rows";
    slice(shown);
  };
  // The figures of points follow the list: kind, slices and search.
  const slice = (shown) => {
    const now = shown.length === all.rows.length ? null : new Set(shown.map((i) => all.rows[i].at));
    if (!now && !kept) return;
    kept = now;
    if (note) { note.hidden = !now; note.textContent = now ? "The figures of points below show the " + shown.length + " rows chosen above; bars speak of all rows." : ""; }
    boxes.forEach((box) => { if (box.dataset.drawn && figures[box.dataset.figure].data.some((t) => Array.isArray(t.customdata))) draw(box); });
  };
  const link = (i, text) => {
    const button = make("button", "to-row");
    button.type = "button";
    button.append(make("bdi", "", text));
    button.addEventListener("click", () => show(i, true));
    return button;
  };
  const line = (i) => {
    const row = all.rows[i];
    const tr = make("tr");
    tr.dataset.row = i;
    if (open === i) tr.setAttribute("aria-current", "true");
    const head = make("th");
    head.scope = "row";
    const button = make("button", "", row.id);
    button.type = "button";
    button.setAttribute("aria-label", "open row " + row.id);
    head.append(button);
    tr.append(head, words("td", "", row.answer ?? digits(row.steps[0].answer)));
    if (hasTruth) tr.append(words("td", "", row.truth));
    const kinds = make("td");
    row.kinds.forEach((k) => kinds.append(make("span", "kind " + k, k)));
    tr.append(kinds);
    tr.addEventListener("click", () => show(i, true));
    return tr;
  };

  const show = (i, byHand) => {
    open = i;
    for (const tr of table.children) tr.toggleAttribute("aria-current", false), Number(tr.dataset.row) === i && tr.setAttribute("aria-current", "true");
    const row = all.rows[i];
    const title = words("h4", "", "Row " + row.id + (row.answer === undefined ? "" : ": " + row.answer));
    const parts = [title];
    const facts = make("p", "small");
    if (row.truth !== undefined) facts.append("True answer: ", words("b", "", row.truth), ". ");
    row.kinds.forEach((k) => facts.append(make("span", "kind " + k, k)));
    parts.push(facts);
    if (row.notes.length) { const notes = make("ul", "notes"); row.notes.forEach((n) => notes.append(words("li", "", n))); parts.push(notes); }
    parts.push(...certainty(row), ...reasons(row), ...words_of(row), ...change(row), ...others(row), ...cells(row));
    detail.replaceChildren(...parts);
    detail.dataset.row = row.id;
    if (byHand && innerWidth < 960) detail.scrollIntoView({ block: "start" });
    if (byHand) detail.focus({ preventScroll: true });
  };

  const certainty = (row) => {
    const parts = [];
    if (row.chances) {
      const inside = row.set ? new Set(row.set) : null;
      parts.push(make("h5", "", "How certain is this answer?"));
      const bars = make("table", "chances");
      const order = row.chances.map((p, j) => j).sort((a, b) => row.chances[b] - row.chances[a]).slice(0, 8);
      for (const j of order) {
        const tr = make("tr", inside && !inside.has(all.classes[j]) ? "out" : "");
        const head = words("th", "", all.classes[j]);
        head.scope = "row";
        const lane = make("td");
        const bar = make("div", "bar");
        bar.style.width = 100 * row.chances[j] + "%";
        lane.append(bar);
        tr.append(head, lane, make("td", "v", share(row.chances[j])));
        bars.append(tr);
      }
      parts.push(bars);
    } else if (row.low !== undefined || row.aleatoric !== undefined) parts.push(make("h5", "", "How certain is this answer?"));
    const say = make("p", "small certainty");
    const level = all.level ? Math.round(1000 * all.level) / 10 + " %" : "";
    if (row.set) {
      if (row.set.length === 0) say.append("No class fits at " + level + ": each is less likely here than the true one usually is. ");
      else { say.append("The " + level + " set: "); row.set.forEach((s, k) => say.append(k ? ", " : "", words("b", "", s))); say.append(row.set.length === 1 ? " alone. " : ": these cannot be told apart at this level. "); }
    }
    if (row.low !== undefined) {
      const unit = all.unit ? " " + all.unit : "";
      if (row.low === null || row.high === null) say.append("No finite interval at " + level + ". ");
      else say.append("The " + level + " interval: ", make("b", "", digits(row.low, (row.high - row.low) / 2) + " to " + digits(row.high, (row.high - row.low) / 2) + unit), ". ");
    }
    if (row.aleatoric != null && row.epistemic != null && row.aleatoric + row.epistemic > 0) {
      const lack = row.epistemic / (row.aleatoric + row.epistemic);
      const little = lack < 0.005;
      say.append("Of its doubt, " + (little ? "more than 99 %" : whole(1 - lack)) + " is noise in the target and " + (little ? "less than 1 %" : whole(lack)) + " lack of knowledge. ");
    }
    if (row.familiarity != null) say.append((row.familiarity < 1 ? "Fewer than 1" : row.familiarity.toFixed(0)) + " % of the training rows set aside are as unusual as this one. ");
    if (say.childNodes.length) parts.push(say);
    return parts;
  };

  const reasons = (row) => {
    const parts = [];
    const head = make("h5", "", "Why? From the base to the answer ");
    const badge = document.getElementById("badge-template");
    if (badge) head.append(badge.content.cloneNode(true));
    parts.push(head);
    const place = make("div");
    const first = Math.max(0, all.outputs.indexOf(row.answer));
    if (all.outputs.length > 1) {
      const tabs = make("div", "outputs");
      tabs.setAttribute("role", "group");
      tabs.setAttribute("aria-label", "Reasons for which output");
      all.outputs.forEach((name, o) => {
        const button = words("button", "", name);
        button.type = "button";
        button.setAttribute("aria-pressed", String(o === first));
        button.addEventListener("click", () => {
          [...tabs.children].forEach((b, k) => b.setAttribute("aria-pressed", String(k === o)));
          place.replaceChildren(waterfall(row, o));
        });
        tabs.append(button);
      });
      parts.push(tabs);
    }
    place.append(waterfall(row, first));
    parts.push(place, words("p", "small", "Scale: " + all.scale + (all.outputs.length > 1 || all.scale === "log-odds" || all.scale === "probability" ? " of the output" : "") + ". Right and + raise the answer, left, hatched and − lower it; lines are 95 % where values are estimated."));
    return parts;
  };

  // Text cells with their words marked: filled and ▲ raise the answer, hatched and ▼ lower it.
  const words_of = (row) => {
    const parts = [];
    for (const cell of row.text ?? []) {
      parts.push(words("h5", "", "The words of " + cell.column));
      const line = make("p", "marked");
      cell.words.forEach((w, k) => {
        const share = cell.shares[k];
        if (Math.abs(share) < 0.12) line.append(make("bdi", "", w), " ");
        else {
          const mark = words("mark", share > 0 ? "up" : "down", w);
          mark.style.setProperty("--strength", Math.round(18 + 50 * Math.abs(share)) + "%");
          mark.title = cell.values[k];
          mark.append(make("small", "", share > 0 ? "▲" : "▼"));
          line.append(mark, " ");
        }
      });
      if (cell.more > 0) line.append("… and " + cell.more + " more words");
      parts.push(line);
    }
    return parts;
  };

  const change = (row) => {
    if (!row.change) return [];
    const parts = [words("h5", "", "What this person can change, to get " + row.change.want)];
    if (row.change.words) parts.push(words("p", "small", row.change.words));
    if (row.change.ways && row.change.ways.length) {
      const ways = make("ul", "ways");
      row.change.ways.forEach((way) => ways.append(words("li", "", way)));
      parts.push(ways);
    }
    return parts;
  };

  // From a row to its units and to other rows: each is one click away.
  const others = (row) => {
    const parts = [];
    if (row.told && row.told.length) { const fold = make("details"); fold.append(make("summary", "", "The same in words"), words("p", "small told", row.told.join(" "))); parts.push(fold); }
    if (row.like && row.like.length) {
      parts.push(make("h5", "", "Answered for like reasons"));
      const line = make("p", "links");
      row.like.forEach((i) => line.append(link(i, "row " + all.rows[i].id + (all.rows[i].answer === undefined ? "" : ": " + all.rows[i].answer)), " "));
      parts.push(line);
    }
    if (row.units && row.units.length) {
      parts.push(make("h5", "", "Units that stand out in this row, and rows in which they are as active"));
      const list = make("ul", "units");
      for (const unit of row.units) {
        const item = words("li", "", unit.name + ", " + unit.size + " standard deviations from its mean: ");
        unit.rows.forEach((i) => item.append(link(i, "row " + all.rows[i].id), " "));
        list.append(item);
      }
      parts.push(list);
    }
    if (row.known) {
      parts.push(make("h5", "", "Known rows most like it (" + all.maker + ")"));
      if (row.known.credibility !== null) parts.push(words("p", "small", "Credibility " + row.known.credibility + ": the share of known rows whose own answers are contested by the rows nearest to them as much as this answer is. Near 0, the rows most like this one speak against the answer."));
      const box = make("div", "scroll near");
      box.tabIndex = 0;
      const grid = make("table");
      const head = make("tr");
      ["training row", "distance", "true answer", ...row.known.columns].forEach((h) => { const th = words("th", "", h); th.scope = "col"; head.append(th); });
      grid.append(make("thead"));
      grid.firstChild.append(head);
      const body = make("tbody");
      for (const near of row.known.rows) {
        const tr = make("tr");
        [near.row, near.distance, near.truth, ...near.cells].forEach((c) => tr.append(words("td", "", c)));
        body.append(tr);
      }
      grid.append(body);
      box.append(grid);
      parts.push(box);
    }
    return parts;
  };

  const waterfall = (row, o) => {
    const s = row.steps[o];
    const steps = s.column.map((j, k) => ({ name: cellOf(row, j), by: s.value[k] ?? 0, half: s.error ? 1.96 * s.error[k] : 0 }));
    if (s.rest_n) steps.push({ name: s.rest_n + " other columns", by: s.rest ?? 0, half: s.rest_error ? 1.96 * s.rest_error : 0 });
    let at = s.base;
    let low = s.base;
    let high = s.base;
    for (const step of steps) {
      step.from = at;
      at += step.by;
      step.to = at;
      low = Math.min(low, at - step.half);
      high = Math.max(high, at + step.half);
    }
    if (s.answer !== null) { low = Math.min(low, s.answer); high = Math.max(high, s.answer); }
    const room = high - low || 1;
    const where = (x) => (1.5 + 97 * (x - low) / room).toFixed(2);
    const out = make("table", "fall");
    out.append(make("caption", "hidden", "Contributions of this row's cells, largest first"));
    const put = (name, text, bar, whisker, end) => {
      const tr = make("tr", end ? "end" : "");
      const head = words("th", "", name);
      head.scope = "row";
      const td = make("td");
      const lane = make("div", "lane");
      lane.style.setProperty("--base", where(s.base) + "%");
      for (const [cls, a, b] of [bar, whisker]) if (cls) { const i = make("i", cls); i.style.left = where(a) + "%"; if (b !== null) i.style.width = Math.max(0, where(b) - where(a)) + "%"; lane.append(i); }
      td.append(lane);
      const value = make("td", "v");
      value.append(...text);
      tr.append(head, td, value);
      out.append(tr);
    };
    put("base: no column known", [digits(s.base, room / 100)], ["mark", s.base, null], [], true);
    for (const step of steps) {
      const bar = [step.by >= 0 ? "up" : "down", Math.min(step.from, step.to), Math.max(step.from, step.to)];
      const text = [signed(step.by, step.half || room / 100)];
      if (step.half) text.push(make("span", "pm", " ± " + digits(step.half, step.half)));
      put(step.name, text, bar, step.half ? ["se", step.to - step.half, step.to + step.half] : [], false);
    }
    put("this row's answer", [digits(s.answer, room / 100)], ["mark", s.answer, null], [], true);
    const box = make("div");
    box.append(out);
    if (s.gap !== null) box.append(make("p", "small", "Completeness gap " + digits(s.gap) + ": answer minus base minus all contributions."));
    return box;
  };

  const cells = (row) => {
    const fold = make("details");
    fold.append(make("summary", "", "All its cells"));
    const grid = make("dl", "cells");
    all.shown.forEach((j, k) => {
      const pair = make("div");
      const unit = all.units[j] && row.cells[k] !== "missing" ? " " + all.units[j] : "";
      pair.append(words("dt", "", all.columns[j]), words("dd", "", row.cells[k] + unit));
      grid.append(pair);
    });
    fold.append(grid);
    return [fold];
  };

  filters.forEach((button) => {
    const n = button.dataset.kind ? all.rows.filter((r) => r.kinds.includes(button.dataset.kind)).length : all.rows.length;
    button.append(" " + n);
    button.disabled = n === 0;
    button.addEventListener("click", () => {
      kind = button.dataset.kind;
      filters.forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
      list();
    });
  });
  search.addEventListener("input", list);
  selects.forEach((s) => s.addEventListener("change", list));
  list();
  show(0, false);
  // The maps name rows by their place among the explained ones.
  document.addEventListener("open-row", (event) => {
    const i = all.rows.findIndex((r) => r.at === event.detail);
    if (i < 0) return;
    show(i, false);
    detail.scrollIntoView({ block: "start" });
    detail.focus({ preventScroll: true });
  });
})();
