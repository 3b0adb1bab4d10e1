// Numbers for people.
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const SPACE = "\u00a0";

function trimmed(value, digits) {
  return String(Number(value.toPrecision(digits)));
}

/** 1234567 -> "1.23 M" */
function shortNumber(value) {
  if (!isNumber(value)) {
    return value === null || value === undefined ? "–" : String(value);
  }
  const size = Math.abs(value);
  for (const [unit, name] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (size >= unit * 0.9995) {
      return trimmed(value / (unit === 1e4 ? 1e3 : unit), 3) + SPACE + name;
    }
  }
  return Number.isInteger(value) ? groupedNumber(value) : size >= 1e-4 || value === 0 ? trimmed(value, 3) : value.toExponential(1);
}

/** 1234567 -> "1,234,567"; fractions with at most 4 significant digits behind the whole part */
function groupedNumber(value) {
  if (!isNumber(value)) {
    return value === null || value === undefined ? "" : String(value);
  }
  if (!Number.isInteger(value) && Math.abs(value) < 1e-4) {
    return value.toExponential(2);
  }
  const whole = Math.floor(Math.abs(value)).toString().length;
  return value.toLocaleString("en", { maximumFractionDigits: Number.isInteger(value) ? 0 : Math.max(0, 4 - (Math.abs(value) < 1 ? 0 : whole)) });
}

function bytesText(value) {
  if (!isNumber(value)) {
    return "–";
  }
  for (const [unit, name] of [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (value >= unit * 0.9995) {
      return trimmed(value / unit, 3) + SPACE + name;
    }
  }
  return value + SPACE + "B";
}

function secondsText(value) {
  if (!isNumber(value)) {
    return "–";
  }
  if (value >= 3600) {
    return `${Math.floor(value / 3600)}${SPACE}h ${Math.round((value % 3600) / 60)}${SPACE}min`;
  }
  if (value >= 100) {
    return `${Math.floor(value / 60)}${SPACE}min ${Math.round(value % 60)}${SPACE}s`;
  }
  if (value >= 0.9995) {
    return trimmed(value, 3) + SPACE + "s";
  }
  return value >= 0.00005 ? trimmed(value * 1e3, value < 0.001 ? 1 : 3) + SPACE + "ms" : value > 0 ? `<${SPACE}0.1${SPACE}ms` : `0${SPACE}s`;
}

function energyText(joules) {
  return joules >= 3.6e6 ? trimmed(joules / 3.6e6, 3) + SPACE + "kWh" : joules >= 3600 ? trimmed(joules / 3600, 3) + SPACE + "Wh" : trimmed(joules, 3) + SPACE + "J";
}

/** "2026-11-28T06:10:00Z" -> "28 Nov 2026, 06:10:00 UTC" */
function timeText(text) {
  const time = new Date(text);
  if (!text || Number.isNaN(time.getTime())) {
    return text || "–";
  }
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  return `${time.getUTCDate()} ${months[time.getUTCMonth()]} ${time.getUTCFullYear()}, ${time.toISOString().slice(11, 19)} UTC`;
}

const percentText = (part) => (part > 0 && part < 0.01 ? `<${SPACE}1` : Math.round(part * 100)) + SPACE + "%";
const counted = (n, one, many) => `${groupedNumber(n)} ${n === 1 ? one : many || one + "s"}`;

/** A value with its unit, as [number, unit]. */
function withUnit(value, unit) {
  if (unit === "bytes") {
    return bytesText(value).split(SPACE);
  }
  if (unit === "s" || unit === "seconds") {
    return [secondsText(value), ""];
  }
  return [Math.abs(value) >= 1e7 ? shortNumber(value) : groupedNumber(value), unit || ""];
}
