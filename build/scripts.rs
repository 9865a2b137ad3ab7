//! Makes `catalogue.rs` out of `lua/`: one typed constant a script.
//!
//! A script says in its header what it takes (`@key`, `@arg`), gives (`@ret`), may refuse with (`@err`) and stands on
//! (`@use`). From that come the arity that the compiler checks, the locals that the body uses instead of `KEYS` and
//! `ARGV`, and the list that `tests/scripts.rs` must cover.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use sha1::{Digest, Sha1};

#[derive(Default)]
struct Source {
    keys: Vec<String>,
    args: Vec<String>,
    rest: Option<String>,
    errors: BTreeSet<String>,
    uses: Vec<String>,
    body: String,
}

/// Reads every script below `root` and writes the catalogue to `OUT_DIR`.
pub(crate) fn assemble(root: &str) {
    println!("cargo:rerun-if-changed={root}");
    println!("cargo:rerun-if-changed=build");
    let mut files = Vec::new();
    list(Path::new(root), &mut files);
    let sources: BTreeMap<String, Source> = files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root).expect("listed below it").with_extension("");
            let name = name.to_str().expect("script names are ASCII").replace('\\', "/");
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let source = parse(&name, &text);
            (name, source)
        })
        .collect();
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it")).join("catalogue.rs");
    fs::write(out, catalogue(&sources)).expect("OUT_DIR can be written");
}

fn list(folder: &Path, into: &mut Vec<PathBuf>) {
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            list(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "lua") {
            println!("cargo:rerun-if-changed={}", path.display());
            into.push(path);
        }
    }
}

fn parse(name: &str, text: &str) -> Source {
    let mut source = Source::default();
    let header = text.lines().take_while(|line| line.starts_with("--")).count();
    assert!(header > 0, "{name}: says nothing about itself in a header");
    for line in text.lines().take(header) {
        let Some((tag, value)) = line
            .trim_start_matches('-')
            .trim()
            .strip_prefix('@')
            .and_then(|tagged| tagged.split_once(char::is_whitespace))
        else {
            continue;
        };
        let first = value.split_whitespace().next().unwrap_or_default().to_owned();
        match tag {
            // A pattern such as `<id>:lock` stands for keys that the script derives from a declared one.
            "key" if first.contains(['<', ':']) => {}
            "key" => source.keys.push(identifier(name, first)),
            "arg" => {
                assert!(source.rest.is_none(), "{name}: @arg after the variadic one");
                match first.strip_prefix("...") {
                    Some(rest) => source.rest = Some(identifier(name, rest.to_owned())),
                    None => source.args.push(identifier(name, first)),
                }
            }
            "ret" => {}
            "err" => source.errors.extend(value.split_whitespace().map(str::to_owned)),
            "use" => source.uses.extend(value.split(',').map(|used| used.trim().to_owned())),
            other => panic!("{name}: unknown header tag @{other}"),
        }
    }
    for line in text.lines().skip(header) {
        source.body.push_str(line);
        source.body.push('\n');
    }
    for word in ["KEYS", "ARGV"] {
        assert!(!has_word(&source.body, word), "{name}: uses {word}; use the locals that the header names");
    }
    source
}

fn identifier(script: &str, word: String) -> String {
    let fits = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    assert!(fits && !word.is_empty(), "{script}: `{word}` is no name for a key or argument");
    word
}

fn has_word(body: &str, word: &str) -> bool {
    body.lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .any(|code| code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|found| found == word))
}

/// Adds the libraries that `name` stands on, each once, before what uses it.
fn resolve(name: &str, sources: &BTreeMap<String, Source>, path: &mut Vec<String>, done: &mut Vec<String>) {
    assert!(!path.iter().any(|above| above == name), "@use goes in a circle: {} > {name}", path.join(" > "));
    if done.iter().any(|one| one == name) {
        return;
    }
    path.push(name.to_owned());
    let source =
        sources.get(name).unwrap_or_else(|| panic!("{}: @use of {name}, which is not there", path.join(" > ")));
    for used in &source.uses {
        assert!(used.starts_with("lib/"), "{name}: @use {used}, which is no lib/");
        resolve(used, sources, path, done);
    }
    path.pop();
    done.push(name.to_owned());
}

/// Names of the errors that a text replies with.
fn replied_errors(body: &str) -> BTreeSet<String> {
    body.split("error_reply('")
        .skip(1)
        .map(|after| after.chars().take_while(char::is_ascii_uppercase).collect())
        .collect()
}

fn catalogue(sources: &BTreeMap<String, Source>) -> String {
    let mut modules: BTreeMap<&str, String> = BTreeMap::new();
    let mut all = String::new();
    for (name, source) in sources.iter().filter(|(name, _)| !name.starts_with("lib/")) {
        let (engine, verb) = name.split_once('/').unwrap_or_else(|| panic!("{name}: belongs into an engine's folder"));
        let mut parts = Vec::new();
        resolve(name, sources, &mut Vec::new(), &mut parts);
        parts.pop();
        let mut text = String::from("local call = redis.call\n");
        let mut replied = replied_errors(&source.body);
        for part in &parts {
            text.push_str(&sources[part].body);
            replied.extend(replied_errors(&sources[part].body));
        }
        assert!(replied == source.errors, "{name}: @err says {:?}, the text replies {replied:?}", source.errors);
        for (index, key) in source.keys.iter().enumerate() {
            let _ = writeln!(text, "local {key} = KEYS[{}]", index + 1);
        }
        for (index, arg) in source.args.iter().enumerate() {
            let _ = writeln!(text, "local {arg} = ARGV[{}]", index + 1);
        }
        if let Some(rest) = &source.rest {
            // No copy: the items start behind the offset.
            let _ = writeln!(text, "local {rest}, {rest}_offset = ARGV, {}", source.args.len());
        }
        text.push_str(&source.body);
        let digest = Sha1::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let constant = verb.to_uppercase();
        let (keys, args, variadic) = (source.keys.len(), source.args.len(), source.rest.is_some());
        let _ = writeln!(
            modules.entry(engine).or_default(),
            "    pub(crate) const {constant}: super::Script<{keys}, {args}, {variadic}> = super::Script::new(\
             &super::Source {{ name: {name:?}, sha: {digest:?}, text: {text:?} }});"
        );
        let errors: Vec<_> = source.errors.iter().collect();
        let _ = writeln!(
            all,
            "    ScriptInfo {{ name: {name:?}, keys: &{:?}, args: &{:?}, rest: {:?}, errors: &{errors:?}, text: {text:?} }},",
            source.keys, source.args, source.rest
        );
    }
    let mut out = String::new();
    for (engine, constants) in modules {
        let _ = writeln!(out, "pub(crate) mod {engine} {{\n{constants}}}");
    }
    let _ = writeln!(
        out,
        "/// Every script, for the test that demands a row for each.\npub const ALL: &[ScriptInfo] = &[\n{all}];"
    );
    out
}
