//! Random values through every module, by generators that run in Lua on both sides: `math.random` gives both the same.

use super::Pair;

/// A generator of values, from a seed. The kinds of keys and values are mixed as scripts mix them.
const GENERATE: &str = r"
local function text()
  local t = {} for i = 1, math.random(0, 12) do t[i] = string.char(math.random(0, 255)) end return table.concat(t)
end
local function number()
  local kind = math.random(6)
  if kind == 1 then return math.random(0, 300) end
  if kind == 2 then return -math.random(0, 70000) end
  if kind == 3 then return math.random() end
  if kind == 4 then return math.random(1000000000) * math.random(1000000000) end
  if kind == 5 then return (math.random() - 0.5) * 10 ^ math.random(-20, 20) end
  return 2 ^ math.random(0, 60)
end
local function value(depth)
  local kind = math.random(depth > 4 and 4 or 7)
  if kind == 1 then return text() end
  if kind == 2 then return number() end
  if kind == 3 then return math.random(2) == 1 end
  if kind == 4 then return 'plain'..math.random(50) end
  local t = {}
  if kind == 5 then for i = 1, math.random(0, 9) do t[i] = value(depth + 1) end return t end
  if kind == 6 then for i = 1, math.random(0, 9) do t[text()] = value(depth + 1) end return t end
  for i = 1, math.random(0, 9) do t['key'..math.random(99)] = value(depth + 1) end
  return t
end
";

fn scripts(body: &str) -> Vec<String> {
    (0..200).map(|seed| format!("math.randomseed({seed}) {GENERATE} local v = value(0) {body}")).collect()
}

#[test]
fn json_of_random_values_is_that_of_redis() {
    let mut pair = Pair::start();
    pair.compare_all(scripts("return cjson.encode(v)"));
    pair.compare_all(scripts("return cjson.encode(cjson.decode(cjson.encode(v)))"));
}

#[test]
fn messagepack_of_random_values_is_that_of_redis() {
    let mut pair = Pair::start();
    pair.compare_all(scripts("return cmsgpack.pack(v)"));
    pair.compare_all(scripts("return cjson.encode({cmsgpack.unpack(cmsgpack.pack(v, 1, v))})"));
}

#[test]
fn results_of_random_values_are_those_of_redis() {
    Pair::start().compare_all(scripts("return v"));
}

/// Text with random damage: errors must agree to the character.
#[test]
fn damaged_input_fails_as_on_redis() {
    let damage = "local s = %s local out = {} for i = 1, 20 do local at = math.random(#s) \
                  local d = s:sub(1, at - 1)..string.char(math.random(0, 255))..s:sub(at + math.random(0, 2)) \
                  local ok, r = pcall(%f, d) out[i] = ok and cjson.encode_keep_buffer() or r end return out";
    let mut pair = Pair::start();
    pair.compare_all(scripts(&damage.replace("%s", "cjson.encode({v, 1})").replace("%f", "cjson.decode")));
}
