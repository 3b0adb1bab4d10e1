// The run as such: its head, what went wrong, attempts, settings.
const SILENT_SECONDS = 30;

/** done, failed, stopped, running; killed: says running, but nobody has written for long. */
function runStatus(data) {
  const status = data.run.status || "unknown";
  if (status !== "running") {
    return status;
  }
  if (typeof data.is_alive === "boolean") {
    return data.is_alive ? "running" : "killed";
  }
  const latest = Math.max(0, ...listOf(data.progress).map((line) => line.time).filter(isNumber), (Date.parse(lastAttempt(data)?.started) || 0) / 1000);
  return Date.parse(data.made) / 1000 - latest > SILENT_SECONDS ? "killed" : "running";
}

const lastAttempt = (data) => listOf(data.run.attempts).at(-1);

function runSeconds(data) {
  const known = listOf(data.run.attempts).map((attempt) => attempt.seconds).filter(isNumber);
  return known.length > 0 ? known.reduce((a, b) => a + b, 0) : data.record?.seconds;
}

const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${String(word).replaceAll("'", "'\\''")}'`);

/** All attempts together, of what is counted. */
function totalOf(data, name) {
  const known = [data.record, ...listOf(data.earlier)].map((record) => record?.totals?.[name]).filter(isNumber);
  return known.length > 0 ? known.reduce((a, b) => a + b, 0) : null;
}

function showHeader(place, data) {
  const run = data.run;
  const attempt = lastAttempt(data) || {};
  const status = runStatus(data);
  const nodes = listOf(attempt.nodes);
  const energy = totalOf(data, "joules");
  const coreHours = totalOf(data, "core_hours");
  const peak = Math.max(0, ...listOf(data.record?.ranks).map((rank) => rank.peak_resident_bytes).filter(isNumber));
  const spilled = totalOf(data, "bytes_spilled") ?? listOf(data.record?.ranks).reduce((sum, rank) => sum + (rank.bytes_spilled || 0), 0);
  const inputs = listOf(run.inputs);
  const inputBytes = inputs.reduce((sum, input) => sum + (input.bytes || 0), 0);
  const facts = [
    ["Time", secondsText(runSeconds(data))],
    ["Started", timeText(listOf(run.attempts)[0]?.started)],
    ["Ranks", isNumber(attempt.n_ranks ?? data.record?.n_ranks) ? `${groupedNumber(attempt.n_ranks ?? data.record.n_ranks)}${nodes.length > 1 ? ` on ${nodes.length} nodes` : ""}` : null],
    ["Core-hours", isNumber(coreHours) ? trimmed(coreHours, 3) : null],
    ["Energy", isNumber(energy) ? energyText(energy) : null],
    ["Inputs", inputs.length > 0 ? `${counted(inputs.length + (run.inputs_left_out || 0), "file")}, ${run.inputs_left_out > 0 ? "more than " : ""}${bytesText(inputBytes)}` : null],
    ["Sent between ranks", isNumber(totalOf(data, "bytes_sent")) ? bytesText(totalOf(data, "bytes_sent")) : null],
    ["Spilled to disk", data.record ? bytesText(spilled) : null],
    ["Peak memory of a rank", peak > 0 ? bytesText(peak) : null],
  ].filter(([, value]) => value !== null && value !== "–");
  const command = [String(run.program || "").split("/").at(-1), ...listOf(run.arguments)].filter(Boolean).map(quoted).join(" ");
  place.append(element("div", { class: "headline" }, element("h1", null, run.job || "A run"), element("span", { class: `badge ${status}`, id: "status" }, status)),
    command ? element("p", { class: "command mono" }, command) : null,
    element("dl", { class: "facts" }, facts.map(([name, value]) => element("div", null, element("dt", null, name), element("dd", null, value)))));
  document.title = `${run.job || "A run"} · ${status} · Quern`;
}

function notice(isBad, title, text) {
  return element("div", { class: isBad ? "notice bad" : "notice", role: isBad ? "alert" : "note" }, element("p", null, element("strong", null, title), text ? " " + text : ""));
}

/** What a reader must know first. */
function showNotices(place, data) {
  const status = runStatus(data);
  const message = lastAttempt(data)?.message || data.record?.error;
  const name = data.folder;
  if (status === "failed") {
    place.append(notice(true, "The run failed.", message));
  } else if (status === "stopped") {
    place.append(notice(false, "The run was asked to stop.", `It can go on: quern resume ${name}`));
  } else if (status === "killed") {
    place.append(notice(true, "The run was killed:", `its processes are gone and it did not end. It can go on: quern resume ${name}`));
  } else if (status === "running") {
    const line = listOf(data.progress)[0];
    place.append(notice(false, "The run goes on.", line?.what ? `When this page was made it was at: ${line.what}` : ""));
  }
  for (const damage of listOf(data.damaged)) {
    place.append(notice(false, "A file of the run could not be read:", damage));
  }
  if (!window.echarts || !window.dagre) {
    place.append(notice(false, "There are no charts here:", "this quern was built without the library that draws them. Run scripts/install-packages build, build again, make this page again."));
  }
}

function showAttempts(section, data) {
  const attempts = listOf(data.run.attempts);
  if (attempts.length === 0) {
    return false;
  }
  section.append(element("div", { class: "card" }, dataTable([
    { name: "Attempt", value: (row) => row.at + 1, isEnd: true },
    { name: "Started", value: (row) => row.started, show: (row) => timeText(row.started) },
    { name: "Time", value: (row) => row.seconds, show: (row) => secondsText(row.seconds), isEnd: true },
    { name: "Ranks", value: (row) => row.n_ranks, isEnd: true },
    { name: "Ended", value: (row) => row.shown, show: (row) => [element("span", { class: `badge ${row.shown}` }, row.shown), isNumber(row.exit_code) && row.exit_code !== 0 ? ` exit code ${row.exit_code}` : "", row.message ? element("span", { class: "sub" }, row.message) : null], isText: true },
    { name: "Slurm job", value: (row) => row.slurm?.job_id ?? "" },
  ].filter((column) => column.name !== "Slurm job" || attempts.some((attempt) => attempt.slurm?.job_id)),
  attempts.map((attempt, at) => ({ ...attempt, at, shown: at === attempts.length - 1 ? runStatus(data) : attempt.status === "running" ? "killed" : attempt.status || "" })), { label: "Attempts" })));
  return true;
}

const wordOf = (value) => (value === null || value === undefined ? null : typeof value === "object" ? JSON.stringify(value) : String(value));
const pairsOf = (object) => pairs(Object.entries(object || {}).map(([name, value]) => [name, wordOf(value)]));

function settingsCard(title, content) {
  return element("div", { class: "card" }, element("h3", null, title), content);
}

function showSettings(section, data) {
  const run = data.run;
  const attempt = lastAttempt(data) || {};
  const cards = [
    settingsCard("Program", pairs([["Program", run.program], ["Arguments", listOf(run.arguments).map(quoted).join(" ")], ["Directory", run.directory], ["Folder of the run", data.folder], ["Build", run.code?.build], ["Quern", run.code?.quern]])),
  ];
  if (Object.keys(run.options || {}).length > 0) {
    cards.push(settingsCard("Options", pairsOf(run.options)));
  }
  const placement = listOf(attempt.nodes).slice(0, 64).map((node) => [node.host, node.placement || `${counted(node.ranks, "rank")}, ${counted(node.cpus, "core")}`]);
  cards.push(settingsCard("Machine", pairs([
    ["Memory per rank", isNumber(attempt.memory_per_rank) ? `${bytesText(attempt.memory_per_rank)}${attempt.budget_source ? ` (${attempt.budget_source})` : ""}` : null],
    ["Scratch", attempt.scratch ?? data.record?.scratch], ...placement, listOf(attempt.nodes).length > 64 ? ["…", `${attempt.nodes.length - 64} nodes more`] : ["", null],
  ])));
  if (Object.keys(run.libraries || {}).length > 0) {
    cards.push(settingsCard("Libraries", pairsOf(run.libraries)));
  }
  if (Object.keys(run.environment || {}).length > 0) {
    cards.push(settingsCard("Environment", pairsOf(run.environment)));
  }
  section.append(element("div", { class: "grid" }, cards));
  const inputs = listOf(run.inputs);
  if (inputs.length > 0) {
    section.append(element("div", { class: "card" }, element("h3", null, "Inputs"), dataTable([
      { name: "Path", value: (row) => row.path, isText: true },
      { name: "Size", value: (row) => row.bytes, show: (row) => bytesText(row.bytes), isEnd: true },
      { name: "Changed", value: (row) => row.modified, show: (row) => timeText(row.modified) },
      { name: "Fingerprint", value: (row) => row.fingerprint, show: (row) => element("span", { class: "mono" }, cutText(String(row.fingerprint ?? ""), 20)) },
    ], inputs, { label: "Inputs" })));
  }
  return true;
}
