// The maps: one canvas, points that are rows. Text from data reaches the page only through textContent.
(() => {
  const holder = document.getElementById("points-data");
  const canvas = document.getElementById("sight-canvas");
  if (!holder || !canvas) return;
  const all = JSON.parse(holder.textContent);
  if (!all.maps) return;
  const make = (tag, name, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined && text !== null) node.textContent = text;
    return node;
  };
  const words = (tag, name, text) => { const node = make(tag, name); node.append(make("bdi", "", text)); return node; };
  const at = (id) => document.getElementById(id);
  const [which, paint, mark, find, legend, card, note] = ["sight-map", "sight-colour", "sight-mark", "sight-find", "sight-legend", "sight-card", "sight-note"].map(at);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const CYCLE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9"];
  const scales = {
    light: ["#00224e", "#3f4d6e", "#7d7c78", "#b39b45", "#e5b800"],
    dark: ["#4c86d8", "#7d93b8", "#a9a9a4", "#d2c078", "#fdea45"],
  };
  const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
  const along = (t) => {
    const stops = scales[dark.matches ? "dark" : "light"].map(rgb);
    const p = Math.max(0, Math.min(0.9999, t)) * (stops.length - 1);
    const k = Math.floor(p);
    return "rgb(" + stops[k].map((v, c) => Math.round(v + (p - k) * (stops[k + 1][c] - v))).join(",") + ")";
  };
  const digits = (x) => (x === null || x === undefined ? "unknown" : (Math.abs(x) >= 1000 ? Math.round(x).toLocaleString("en") : String(Number(x.toPrecision(4)))).replace("-", "\u2212"));
  const n = all.id.length;
  const column = Object.fromEntries(all.columns.map((c) => [c.name, c]));
  const cell = (c, i) => (c.values ? (c.values[i] === null ? "missing" : digits(c.values[i])) : c.codes[i] < 0 ? "missing" : c.levels[c.codes[i]]);
  const truth = column[all.target];
  const answer = all.answers && all.answers.predicted;

  // What points can be coloured by: name -> {values} or {codes, levels}.
  const ways = [];
  if (truth) ways.push(truth);
  if (answer) ways.push({ ...answer, name: "the model's answer" });
  if (answer && truth && answer.levels && truth.levels) ways.push({ name: "right or wrong", levels: ["right", "wrong"], codes: truth.codes.map((c, i) => (c < 0 ? -1 : truth.levels[c] === answer.levels[answer.codes[i]] ? 0 : 1)) });
  if (all.answers && all.answers.doubt) ways.push({ ...all.answers.doubt, name: answer && answer.levels ? "doubt (1 \u2212 probability of the answer)" : "doubt (half the interval)" });
  if (all.answers && all.answers.familiarity) ways.push({ ...all.answers.familiarity, name: "familiarity" });
  if (all.held && all.held.some((h) => h) && all.held.some((h) => !h)) ways.push({ name: "learned from or not", levels: ["not learned from", "learned from"], codes: all.held.map((h) => 1 - h) });
  ways.push({ name: "nearest rows kept on this map (%)", kept: true });
  for (const c of all.columns) if (c !== truth && !c.many) ways.push(c);
  ways.forEach((w, k) => { const o = make("option", "", w.name); o.value = k; paint.append(o); });
  all.maps.forEach((m, k) => { const o = make("option", "", m.title + " (" + m.rows.length.toLocaleString("en") + " rows)"); o.value = k; which.append(o); });
  all.findings.forEach((f, k) => { if (f.points.length) { const o = make("option", "", f.name + " (" + f.points.length + (f.n > f.points.length ? " of " + f.n : "") + ")"); o.value = k; mark.append(o); } });
  if (mark.options.length === 1) mark.parentElement.hidden = true;

  let chosen = -1;
  let screen = [];
  const shapes = [
    (c, x, y, r) => { c.moveTo(x + r, y); c.arc(x, y, r, 0, 7); },
    (c, x, y, r) => c.rect(x - r, y - r, 2 * r, 2 * r),
    (c, x, y, r) => { c.moveTo(x, y - 1.4 * r); c.lineTo(x + 1.4 * r, y); c.lineTo(x, y + 1.4 * r); c.lineTo(x - 1.4 * r, y); c.closePath(); },
    (c, x, y, r) => { c.moveTo(x, y - 1.3 * r); c.lineTo(x + 1.3 * r, y + r); c.lineTo(x - 1.3 * r, y + r); c.closePath(); },
    (c, x, y, r) => { for (const s of [1, -1]) { c.moveTo(x - r, y - s * r); c.lineTo(x + r, y + s * r); } },
    (c, x, y, r) => { c.moveTo(x - 1.3 * r, y); c.lineTo(x + 1.3 * r, y); c.moveTo(x, y - 1.3 * r); c.lineTo(x, y + 1.3 * r); },
  ];
  const style = (m) => {
    const way = ways[Number(paint.value)];
    if (way.kept || way.values) {
      const values = way.kept ? m.kept : m.rows.map((i) => way.values[i]);
      const known = values.filter((v) => v !== null).sort((a, b) => a - b);
      const low = known[Math.floor(0.01 * known.length)] ?? 0;
      const high = known[Math.floor(0.99 * (known.length - 1))] ?? 1;
      return { way, low, high, missing: values.length - known.length, of: (k) => (values[k] === null ? null : [along((values[k] - low) / (high - low || 1)), 0]) };
    }
    const count = new Array(way.levels.length).fill(0);
    m.rows.forEach((i) => { if (way.codes[i] >= 0) count[way.codes[i]] += 1; });
    const order = count.map((c, k) => k).sort((a, b) => count[b] - count[a] || a - b).slice(0, 6).sort((a, b) => (way.levels[a] < way.levels[b] ? -1 : 1));
    const place = new Map(order.map((k, p) => [k, p]));
    return { way, order, count, of: (k) => { const c = way.codes[m.rows[k]]; return place.has(c) ? [CYCLE[place.get(c)], place.get(c)] : null; } };
  };

  const draw = () => {
    const m = all.maps[Number(which.value)];
    const width = canvas.parentElement.clientWidth;
    if (!width) return;
    const height = Math.round(Math.max(300, Math.min(560, 0.78 * width)));
    const ratio = Math.min(devicePixelRatio || 1, 2);
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.height = height + "px";
    const c = canvas.getContext("2d");
    c.scale(ratio, ratio);
    const pad = 16;
    const most = [Math.max(...m.x, 1), Math.max(...m.y, 1)];
    const size = Math.min((width - 2 * pad) / most[0], (height - 2 * pad) / most[1]);
    const left = (width - size * most[0]) / 2;
    const top = (height + size * most[1]) / 2;
    screen = m.rows.map((i, k) => [left + size * m.x[k], top - size * m.y[k], i]);
    const r = m.rows.length < 400 ? 4 : m.rows.length < 1500 ? 3.2 : 2.3;
    const how = style(m);
    const grey = dark.matches ? "#6d7880" : "#9aa3aa";
    c.globalAlpha = m.rows.length > 1500 ? 0.65 : 0.85;
    c.lineWidth = 1.4;
    screen.forEach(([x, y], k) => {
      const look = how.of(k);
      c.beginPath();
      shapes[look ? look[1] : 0](c, x, y, look ? r : 0.8 * r);
      if (look && look[1] < 4) { c.fillStyle = look[0]; c.fill(); } else { c.strokeStyle = look ? look[0] : grey; c.stroke(); }
    });
    c.globalAlpha = 1;
    const ink = dark.matches ? "#fff" : "#111";
    const named = mark.value === "" ? new Set() : new Set(all.findings[Number(mark.value)].points);
    c.strokeStyle = ink;
    screen.forEach(([x, y, i]) => { if (named.has(i)) { c.beginPath(); c.arc(x, y, r + 3, 0, 7); c.stroke(); } });
    const own = screen.find(([, , i]) => i === chosen);
    if (own) { c.lineWidth = 2.5; c.beginPath(); c.arc(own[0], own[1], r + 6, 0, 7); c.stroke(); c.strokeStyle = dark.matches ? "#111" : "#fff"; c.lineWidth = 1; c.beginPath(); c.arc(own[0], own[1], r + 8, 0, 7); c.stroke(); }
    tell(how, m);
    const shown = [...named].filter((i) => m.rows.includes(i)).length;
    note.textContent = mark.value === "" ? "" : shown + " of " + named.size + " rows of the finding are ringed on this map.";
    document.querySelectorAll("[data-sight]").forEach((d) => { d.hidden = Number(d.dataset.sight) !== Number(which.value); });
  };

  const tell = (how, m) => {
    legend.replaceChildren();
    const name = how.way.name + (how.way.unit ? " (" + how.way.unit + ")" : "");
    legend.append(words("b", "", name));
    if (how.order) {
      how.order.forEach((k, p) => {
        const key = make("span", "key");
        const dot = make("canvas");
        dot.width = dot.height = 28;
        dot.setAttribute("aria-hidden", "true");
        const c = dot.getContext("2d");
        c.lineWidth = 3;
        c.beginPath();
        shapes[p](c, 14, 14, 8);
        if (p < 4) { c.fillStyle = CYCLE[p]; c.fill(); } else { c.strokeStyle = CYCLE[p]; c.stroke(); }
        key.append(dot, words("span", "", how.way.levels[k] + " (" + how.count[k].toLocaleString("en") + ")"));
        legend.append(key);
      });
      const rest = m.rows.length - how.order.reduce((s, k) => s + how.count[k], 0);
      if (rest) legend.append(make("span", "key quiet", "grey rings: other levels or missing (" + rest.toLocaleString("en") + ")"));
    } else {
      const bar = make("span", "ramp");
      bar.style.background = "linear-gradient(to right," + [0, 0.25, 0.5, 0.75, 0.999].map(along).join(",") + ")";
      legend.append(make("span", "", digits(how.low)), bar, make("span", "", digits(how.high)));
      if (how.missing) legend.append(make("span", "key quiet", "grey rings: missing (" + how.missing.toLocaleString("en") + ")"));
    }
  };

  const link = (text, go) => {
    const button = make("button", "to-row");
    button.type = "button";
    button.append(make("bdi", "", text));
    button.addEventListener("click", go);
    return button;
  };
  const explained = new Map(all.reasons ? all.reasons.points.map((i, k) => [i, k]) : []);
  const show = (i, byHand) => {
    chosen = i;
    const parts = [words("h4", "", "Row " + all.id[i] + (answer ? ": " + cell(answer, i) + (answer.values && all.unit ? " " + all.unit : "") : ""))];
    const facts = make("p", "small");
    if (truth) facts.append("True answer: ", words("b", "", cell(truth, i)), ". ");
    if (all.held) facts.append(all.held[i] ? "The model has not learned from this row. " : "The model has learned from this row: its answer looks better than it is. ");
    if (answer) {
      const a = all.answers;
      if (a.low) facts.append("The interval: " + cell(a.low, i) + " to " + cell(a.high, i) + ". ");
      else if (a.doubt) facts.append("Doubt: " + (100 * a.doubt.values[i]).toFixed(1) + " % that another class is right, by the model. ");
      if (a.familiarity) {
        const f = a.familiarity.values[i];
        facts.append((f < 1 ? "Fewer than 1" : f.toFixed(0)) + " % of the training rows set aside are as unusual as this one. ");
      }
    }
    if (facts.childNodes.length) parts.push(facts);
    const named = all.findings.filter((f) => f.points.includes(i));
    if (named.length) { const list = make("ul", "notes"); named.forEach((f) => list.append(words("li", "", "Named in a finding: " + f.name + "."))); parts.push(list); }
    parts.push(...reasons(i));
    const m = all.maps[Number(which.value)];
    const k = m.rows.indexOf(i);
    if (k >= 0) {
      const near = m.rows.map((j, q) => [(m.x[q] - m.x[k]) ** 2 + (m.y[q] - m.y[k]) ** 2, j]).filter(([, j]) => j !== i).sort((a, b) => a[0] - b[0]).slice(0, 5);
      const line = make("p", "small links");
      line.append("Next to it on the map (of its nearest rows in the data, " + (m.kept[k] ?? "?") + " % are near here too): ");
      near.forEach(([, j]) => line.append(link("row " + all.id[j], () => show(j, true)), " "));
      parts.push(line);
    }
    const fold = make("details");
    fold.append(make("summary", "", "Its cells"));
    fold.open = !all.reasons;
    const grid = make("dl", "cells");
    for (const c of all.columns) { const pair = make("div"); pair.append(words("dt", "", c.name), words("dd", "", cell(c, i) + (c.unit && cell(c, i) !== "missing" ? " " + c.unit : ""))); grid.append(pair); }
    fold.append(grid);
    parts.push(fold);
    card.replaceChildren(...parts);
    card.dataset.row = all.id[i];
    draw();
    // Below the map, as on a phone, the head of the card comes into sight; the map stays where the finger is, as far as it can.
    if (byHand && innerWidth < 960) scrollBy({ top: Math.max(0, Math.min(card.getBoundingClientRect().top + 150 - innerHeight, canvas.getBoundingClientRect().top)), behavior: "instant" });
  };
  const reasons = (i) => {
    const e = all.reasons;
    if (!e) return [];
    const out = [];
    const head = make("h5", "", "Why? By " + e.method + ", quick ");
    const badge = at("quick-badge");
    if (badge) head.append(badge.content.cloneNode(true));
    out.push(head);
    const k = explained.get(i);
    if (k === undefined) out.push(make("p", "small", "No quick reasons were made for this row: there was time for " + e.points.length.toLocaleString("en") + " of " + n.toLocaleString("en") + " rows."));
    else {
      const by = e.by.slice(k * e.each, (k + 1) * e.each);
      const most = Math.max(...by.map(Math.abs), 1e-12);
      const table = make("table", "quick");
      by.forEach((v, q) => {
        const name = e.columns[e.top[k * e.each + q]];
        const tr = make("tr");
        const th = words("th", "", name + (column[name] ? " = " + cell(column[name], i) : ""));
        th.scope = "row";
        const lane = make("td");
        const bar = make("div", "bar " + (v >= 0 ? "up" : "down"));
        bar.style.width = (100 * Math.abs(v)) / most + "%";
        lane.append(bar);
        tr.append(th, lane, make("td", "v", (v > 0 ? "+" : "") + digits(v)));
        table.append(tr);
      });
      const output = e.output[e.of ? e.of[k] : 0];
      out.push(table, words("p", "small", e.scale + (e.output.length > 1 || e.scale === "log-odds" || e.scale === "probability" ? " of " + output : "") + " lost on average when the cell is exchanged for those of five other rows: a quick look, without a stated error."));
    }
    if (e.full[i] >= 0) out.push(link("All reasons of this row, with their errors", () => document.dispatchEvent(new CustomEvent("open-row", { detail: e.full[i] }))));
    return out;
  };

  const pick = (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    let far = (event.pointerType === "touch" ? 28 : 18) ** 2;
    for (const p of screen) { const d = (p[0] - x) ** 2 + (p[1] - y) ** 2; if (d < far) { far = d; best = p; } }
    return best;
  };
  canvas.addEventListener("click", (event) => { const p = pick(event); if (p) show(p[2], true); });
  canvas.addEventListener("mousemove", (event) => {
    const p = pick(event);
    canvas.style.cursor = p ? "pointer" : "default";
    canvas.title = p ? "row " + all.id[p[2]] + (answer ? ": " + cell(answer, p[2]) : "") : "";
  });
  // Arrow keys go to the next point in that direction.
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way || !screen.length) return;
    event.preventDefault();
    const from = screen.find(([, , i]) => i === chosen) ?? screen[0];
    const ahead = screen.filter((p) => p !== from).map((p) => { const [dx, dy] = [p[0] - from[0], p[1] - from[1]]; const f = dx * way[0] + dy * way[1]; return [f > 0 && f >= Math.abs(dx * way[1] + dy * way[0]) ? dx * dx + dy * dy : Infinity, p]; }).sort((a, b) => a[0] - b[0]);
    if (ahead.length && Number.isFinite(ahead[0][0])) show(ahead[0][1][2], false);
  });
  find.addEventListener("change", () => {
    const i = all.id.indexOf(Number(find.value));
    if (i >= 0) show(i, true);
    else note.textContent = find.value === "" ? "" : "Row " + find.value + " is not among the " + n.toLocaleString("en") + " points.";
  });
  which.addEventListener("change", () => { if (chosen >= 0) show(chosen, false); else draw(); });
  for (const s of [paint, mark]) s.addEventListener("change", draw);
  document.querySelectorAll("button[data-finding]").forEach((b) => b.addEventListener("click", () => {
    mark.value = b.dataset.finding;
    which.value = 0;
    const points = all.findings[Number(b.dataset.finding)].points;
    if (points.length) show(points[0], false);
    at("sight").scrollIntoView({ block: "start" });
  }));
  dark.addEventListener("change", draw);
  addEventListener("beforeprint", draw);
  new ResizeObserver(draw).observe(canvas.parentElement);
  draw();
})();
