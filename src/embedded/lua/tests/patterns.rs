//! Patterns, and the other functions of Lua's library that were replaced to bound them, beside those of Redis.

use fastrand::Rng;

use super::Pair;

/// Runs `call` and gives all it returns, or its error.
fn shown(call: &str) -> String {
    format!("local r = {{pcall(function() return {call} end)}} for i = 1, 9 do r[i] = tostring(r[i]) end return r")
}

#[test]
fn finds_what_redis_finds() {
    Pair::start().compare_all(
        [
            "string.find('hello world', 'o w')",
            "string.find('hello', 'l', 1, true)",
            "string.find('a.b', '.', 1, true)",
            "string.find('hello', 'l+', -2)",
            "string.find('hello', '', 10)",
            "string.find('hello', '', 6)",
            "string.find('', '')",
            "string.find('a\\0b', '\\0b')",
            "string.find('a\\0b', '%z')",
            "string.find('a\\0b+', 'a\\0+')",
            "string.find('abc', '(b)(c)')",
            "string.find('abc', '()b()')",
            "string.find('abc', '^b')",
            "string.find('abc', '^a')",
            "string.find('abc', 'c$')",
            "string.find('a$c', 'a$c')",
            "string.match('key = value', '(%w+)%s*=%s*(%w+)')",
            "string.match('2026-01-02', '(%d+)-(%d+)-(%d+)')",
            "string.match('f(a(b)c)d', '%b()')",
            "string.match('THE (quick) fox', '%f[%a]%a+%f[%A]')",
            "string.match('aXb', '%u')",
            "string.match('[]]', '[]]')",
            "string.match('a-b', '[a%-]+')",
            "string.match('x^y', '[x^]+')",
            "string.match('abc', '[^b]+')",
            "string.match('abcabc', '(abc)%1')",
            "string.match('abc', 'a-b')",
            "string.match('aaab', 'a-b')",
            "string.match('abc', '((a)(b))')",
            "string.match('x', 'y')",
            "string.match('abc', '.-')",
            "string.match('\\9\\11\\12 ', '%s+')",
            "string.gsub('hello', 'l', 'L')",
            "string.gsub('hello', 'l', {l = 1})",
            "string.gsub('hello', '(l)(.)', '%2%1%0%%')",
            "string.gsub('hello', '', '-')",
            "string.gsub('hello', 'l', function(c) return nil end)",
            "string.gsub('hello', '(h)(e)', function(a, b) return b..a end)",
            "string.gsub('abc', '%w', '%')",
            "string.gsub('abc', '%w', '%x')",
            "string.gsub('abc', '%w', 7)",
            "string.gsub('abc', '^a', 'x')",
            "string.gsub('abc', '.', 'x', 2)",
            "string.gsub('abc', '.', 'x', 0)",
            "string.gsub('abc', '.', 'x', -1)",
            "string.gsub('abc', '.', function() return {} end)",
            "string.gsub('abc', '.', true)",
            "string.gsub('abc', '(', 'x')",
            "string.gsub('abc', ')', 'x')",
            "string.gsub('abc', '[a', 'x')",
            "string.gsub('abc', '[]', 'x')",
            "string.gsub('abc', '%', 'x')",
            "string.gsub('abc', '%1', 'x')",
            "string.gsub('abc', '(a)', '%2')",
            "string.gsub('abc', '%b', 'x')",
            "string.gsub('abc', '%bx', 'x')",
            "string.gsub('abc', '%f', 'x')",
            "string.gsub('abc', string.rep('(a)', 33), 'x')",
            "string.gsub('a1b2', '%a%d', {a1 = false, b2 = 'z'})",
            "string.find({}, 'x')",
            "string.find('x')",
            "string.rep('ab', 3)",
            "string.rep('ab', 0)",
            "string.rep('ab', -1)",
            "string.rep('', 5)",
            "string.rep('x', 2.9)",
            "string.rep('x')",
            "('x'):rep(4)",
        ]
        .map(shown),
    );
    Pair::start().compare_all([
        "local r = {} for k, v in string.gmatch('a=1, b=2', '(%w+)=(%w+)') do r[#r + 1] = k..v end return r",
        "local r = {} for w in string.gmatch('one two', '%a+') do r[#r + 1] = w end return r",
        "local r = {} for w in ('abc'):gmatch('') do r[#r + 1] = #r end return r",
        "local r = {} for w in ('abc'):gmatch('^a') do r[#r + 1] = w end return r",
        "local r = {} for p in ('abc'):gmatch('()') do r[#r + 1] = p end return r",
        "local t = {1, 2, 3} table.insert(t, 4) table.insert(t, 1, 0) table.insert(t, 9, 9) return {t, t[9]}",
        "local t = {1, 2, 3} table.insert(t, 0, 'x') return {t[0], t[1], t[2], t[3], t[4]}",
        "local t = {1} table.insert(t, -2, 'x') return {t[-2], t[-1], t[0], t[1], t[2]}",
        "return pcall(table.insert, {}, 1, 2, 3)",
        "local ok, e = pcall(table.insert, {}) return e",
        "local ok, e = pcall(table.insert, 5, 1) return e",
        "local ok, e = pcall(table.insert, {}, 'x', 1) return e",
        "local ok, e = pcall(table.insert, string, 'x') return e",
    ]);
}

#[test]
fn random_patterns_match_alike() {
    let mut random = Rng::with_seed(11);
    let parts = [
        "a", "b", ".", "%a", "%d", "%s", "[ab]", "[^a]", "[a-c%d]", "(", ")", "()", "*", "+", "-", "?", "^", "$", "%1",
        "%b()", "%f[a]", "%%", "x", "1", "[", "%",
    ];
    let mut some = |from: &[&str], most: usize| -> String {
        (0..random.usize(..=most)).map(|_| from[random.usize(..from.len())]).collect()
    };
    let scripts: Vec<String> = (0..4000)
        .map(|_| {
            let (text, pattern) = (some(&["a", "b", "c", "1", " ", "(", ")", "x"], 12), some(&parts, 6));
            shown(&format!("string.find('{text}', '{pattern}'), string.gsub('{text}', '{pattern}', '<%0>')"))
        })
        .collect();
    Pair::start().compare_all(scripts);
}
