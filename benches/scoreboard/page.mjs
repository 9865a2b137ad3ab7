const cell = ({ wrong, missing }) => {
  if (missing) return 'not offered';
  return wrong === undefined
    ? 'right'
    : `**wrong**: ${wrong.replaceAll('|', '\\|').replaceAll('\n', ' ').slice(0, 120)}`;
};

/** A table whose columns are as wide as their widest cell, as the formatter of this project writes them. */
function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (cells) => `| ${cells.map((text, column) => text.padEnd(widths[column])).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n');
}

/** The text of docs/parity/cache.md. */
export function page({ caches, results, versions, redis }) {
  const count = (name, test) => results.filter(({ outcomes }) => test(outcomes.get(name))).length;
  const totals = caches.map(({ name }) => [
    name,
    String(count(name, ({ wrong, missing }) => wrong === undefined && !missing)),
    String(count(name, ({ wrong }) => wrong !== undefined)),
    String(count(name, ({ missing }) => missing !== undefined)),
  ]);
  return `# Caches under test

Written by \`npm run bench:scoreboard\`; not edited by hand. Each row is a scenario of \`benches/scoreboard/scenarios\`, played with each cache in
a fresh process against a Redis of its own; \`__test__/cache-scoreboard.test.ts\` plays the same files with \`oxcart\` in the suite. Caches
are set up as their documentation shows for several processes: a level in memory, a level in Redis, a bus where there is one. "Not
offered" stands where a cache lacks what the scenario is about.

Versions: ${versions.join('; ')}; redis-server ${redis}, Node ${process.versions.node}.

${table([['cache', 'right', 'wrong', 'not offered'], ...totals])}

${table([
  ['scenario', ...caches.map(({ name }) => name)],
  ...results.map(({ scenario, outcomes }) => [scenario.title, ...caches.map(({ name }) => cell(outcomes.get(name)))]),
])}
`;
}
