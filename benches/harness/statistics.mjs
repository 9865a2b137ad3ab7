// Medians and ranges, and how they are written.

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function percentile(values, share) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** `12.3 (11.8–14.0)`: median and range. */
export function withRange(values, digits = 2) {
  if (values.some(Number.isNaN)) return '–';
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${format(median(values), digits)} (${format(low, digits)}–${format(high, digits)})`;
}

export function format(value, digits = 2) {
  if (value >= 10_000) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(value >= 100 ? 0 : digits);
}

/** A Markdown table. */
export function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
