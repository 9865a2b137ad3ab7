use super::*;

const TEXT: ReplyStyle = ReplyStyle { form: ReplyForm::Text, shape: ReplyShape::Plain };
const BUFFER: ReplyStyle = ReplyStyle { form: ReplyForm::Buffer, shape: ReplyShape::Plain };

/// What JavaScript would see of one answer, as text.
fn seen(load: &Load) -> String {
    let record = &load.records[0];
    assert_eq!(record.values as usize, load.values.len());
    let values: Vec<_> = load.values.iter().map(|value| show(load, value)).collect();
    format!("{:?} {:?} [{}]", record.kind, record.lanes, values.join(" "))
}

fn show(load: &Load, stored: &Stored) -> String {
    let text = |placed: &Placed| match *placed {
        Placed::Narrow { at, length } => load.narrow[at..at + length].iter().map(|&byte| char::from(byte)).collect(),
        Placed::Wide { at, length } => String::from_utf16(&load.wide[at..at + length]).unwrap(),
    };
    match stored {
        Stored::Undefined => "undefined".to_owned(),
        Stored::Null => "null".to_owned(),
        Stored::Bool(flag) => flag.to_string(),
        Stored::Number(number) => number.to_string(),
        Stored::Text(placed) => format!("'{}'", text(placed)),
        Stored::Bytes { at, length } => format!("{:?}", &load.narrow[*at..*at + *length]),
        Stored::Error(placed) => {
            let told: serde_json::Value = serde_json::from_str(&text(placed)).unwrap();
            format!("<{}>", told["code"].as_str().unwrap())
        }
        Stored::List(items) => {
            format!("({})", items.iter().map(|item| show(load, item)).collect::<Vec<_>>().join(" "))
        }
    }
}

fn reply(reply: Reply<'_>, style: ReplyStyle) -> String {
    let mut load = Load::default();
    load.reply(1, Ok(reply), style);
    seen(&load)
}

fn answer(answer: Answer) -> String {
    let mut load = Load::default();
    load.answer(1, Ok(answer));
    seen(&load)
}

#[test]
fn scalars_of_replies_take_the_cheapest_way() {
    assert_eq!(reply(Reply::Nil, TEXT), "Null [0, 0, 0] []");
    assert_eq!(reply(Reply::Simple(b"OK"), TEXT), "Ok [0, 0, 0] []");
    assert_eq!(reply(Reply::Simple(b"OK"), BUFFER), "Value [0, 0, 0] [[79, 75]]");
    assert_eq!(reply(Reply::Int(-5), TEXT), "Int [-5, 0, 0] []");
    assert_eq!(reply(Reply::Int(1 << 40), TEXT), "Value [0, 0, 0] [1099511627776]");
    assert_eq!(reply(Reply::Int(1 << 53), TEXT), "Value [0, 0, 0] ['9007199254740992']");
    assert_eq!(reply(Reply::Int(i64::MIN), TEXT), "Value [0, 0, 0] ['-9223372036854775808']");
    assert_eq!(reply(Reply::Bool(true), TEXT), "Int [1, 0, 0] []");
    assert_eq!(reply(Reply::Double(b"1.50"), TEXT), "Value [0, 0, 0] ['1.50']");
    assert_eq!(reply(Reply::Bulk("é日".as_bytes()), TEXT), "Value [0, 0, 0] ['é日']");
    assert_eq!(reply(Reply::Bulk(b"\xff"), BUFFER), "Value [0, 0, 0] [[255]]");
}

#[test]
fn aggregates_have_the_shapes_of_resp2() {
    let pair = |key, value| (Reply::Bulk(key), Reply::Int(value));
    assert_eq!(reply(Reply::Map(vec![pair(b"a", 1), pair(b"b", 2)]), TEXT), "List [4, 0, 0] ['a' 1 'b' 2]");
    assert_eq!(reply(Reply::Set(vec![Reply::Nil, Reply::Bool(false)]), TEXT), "List [2, 0, 0] [null 0]");
    let nested = Reply::Array(vec![Reply::Map(vec![pair(b"a", 1)]), Reply::Error(b"WRONGTYPE x")]);
    assert_eq!(reply(nested, TEXT), "List [2, 0, 0] [('a' 1) <ERR_REPLY>]");
    let scores = || Reply::Array(vec![Reply::Array(vec![Reply::Bulk(b"m"), Reply::Double(b"1")])]);
    let style = |shape| ReplyStyle { form: ReplyForm::Text, shape };
    assert_eq!(reply(scores(), style(ReplyShape::FlatPairs)), "List [2, 0, 0] ['m' '1']");
    assert_eq!(reply(scores(), TEXT), "List [1, 0, 0] [('m' '1')]");
    let flat = Reply::Array(vec![Reply::Bulk(b"m"), Reply::Bulk(b"1")]);
    assert_eq!(reply(flat, style(ReplyShape::FlatPairs)), "List [2, 0, 0] ['m' '1']");
    let streams = Reply::Map(vec![(Reply::Bulk(b"s"), Reply::Array(vec![]))]);
    assert_eq!(reply(streams, style(ReplyShape::Pairs)), "List [1, 0, 0] [('s' ())]");
}

#[test]
fn a_long_list_is_one_value() {
    let items = vec![Reply::Int(1); LONGEST_FLAT_LIST + 1];
    let mut load = Load::default();
    load.reply(1, Ok(Reply::Array(items)), TEXT);
    assert_eq!((load.records[0].kind, load.values.len()), (Kind::Value, 1));
}

#[test]
fn answers_keep_their_types() {
    assert_eq!(answer(Answer::Undefined), "Undefined [0, 0, 0] []");
    assert_eq!(answer(Answer::from(None::<bool>)), "Null [0, 0, 0] []");
    assert_eq!(answer(Answer::Number(0.5)), "Value [0, 0, 0] [0.5]");
    assert_eq!(answer(Answer::Json("{}".to_owned())), "Json [0, 0, 0] ['{}']");
    assert_eq!(answer(Answer::Bytes(vec![1, 2])), "Value [0, 0, 0] [[1, 2]]");
    let list = Answer::List(vec![Answer::from("a"), Answer::List(vec![Answer::Null]), Answer::Bool(true)]);
    assert_eq!(answer(list), "List [3, 0, 0] ['a' (null) true]");
}

#[test]
fn an_error_is_an_error_wherever_it_stands() {
    let error = || Error::closed("it");
    let mut load = Load::default();
    load.answer(1, Err(error()));
    assert_eq!(load.records[0].kind, Kind::Error);
    assert!(answer(Answer::Error(error())).starts_with("Error [0, 0, 0] ["));
    assert_eq!(answer(Answer::List(vec![Answer::Error(error())])), "List [1, 0, 0] [<ERR_CLOSED>]");
}

#[test]
fn an_event_tells_its_number_and_how_many_values_it_has() {
    let mut load = Load::default();
    load.event(9, 0xff00, [4, 5], vec![Answer::from("a"), Answer::Null]);
    assert_eq!(load.records[0].slot, 9);
    assert_eq!(seen(&load), format!("Event [{}, 4, 5] ['a' null]", 0xff00 | (2 << 16)));
}

#[test]
fn one_wake_announces_everything_until_it_was_taken() {
    let completions = Completions::new();
    let push = || completions.push(|load| load.answer(1, Ok(Answer::Null)));
    push();
    completions.wake();
    push();
    let mut load = Load::default();
    completions.take(&mut load);
    assert_eq!(load.records.len(), 2);
    assert!(!completions.more(), "nothing came meanwhile");
    push();
    assert!(completions.more(), "what came meanwhile is announced to the caller, who must come back");
    load.reset();
    completions.take(&mut load);
    assert_eq!(load.records.len(), 1);
}

#[test]
fn memory_of_a_large_load_is_given_back() {
    let mut load = Load::default();
    load.answer(1, Ok(Answer::Bytes(vec![0; 8 << 20])));
    load.reset();
    assert!(load.narrow.capacity() <= KEPT_BYTES && load.records.is_empty() && load.values.is_empty());
}
