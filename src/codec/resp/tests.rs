use super::*;
use crate::error::{ErrorCode, Result};

/// A value of every type, and what it is.
fn samples() -> Vec<(&'static [u8], Reply<'static>)> {
    use Reply::{Array, BigNumber, Bool, Bulk, Double, Error, Int, Map, Nil, Push, Set, Simple};
    vec![
        (b"+OK\r\n", Simple(b"OK")),
        (b"+\r\n", Simple(b"")),
        (b"-ERR no\r\n", Error(b"ERR no")),
        (b":-42\r\n", Int(-42)),
        (b":9223372036854775807\r\n", Int(i64::MAX)),
        (b"$5\r\na\r\nbc\r\n", Bulk(b"a\r\nbc")),
        (b"$0\r\n\r\n", Bulk(b"")),
        (b"$-1\r\n", Nil),
        (b"*-1\r\n", Nil),
        (b"_\r\n", Nil),
        (b"#t\r\n", Bool(true)),
        (b"#f\r\n", Bool(false)),
        (b",1e+20\r\n", Double(b"1e+20")),
        (b",inf\r\n", Double(b"inf")),
        (b",-inf\r\n", Double(b"-inf")),
        (b",nan\r\n", Double(b"nan")),
        (
            b"(-3492890328409238509324850943850943825024385\r\n",
            BigNumber(b"-3492890328409238509324850943850943825024385"),
        ),
        (b"!9\r\nERR a\r\nbc\r\n", Error(b"ERR a\r\nbc")),
        (b"=8\r\ntxt:text\r\n", Bulk(b"text")),
        (b"*0\r\n", Array(vec![])),
        (b"*2\r\n:1\r\n*1\r\n$1\r\nx\r\n", Array(vec![Int(1), Array(vec![Bulk(b"x")])])),
        (b"*2\r\n-ERR in\r\n_\r\n", Array(vec![Error(b"ERR in"), Nil])),
        (b"~2\r\n+a\r\n+b\r\n", Set(vec![Simple(b"a"), Simple(b"b")])),
        (b"%1\r\n+k\r\n~1\r\n:2\r\n", Map(vec![(Simple(b"k"), Set(vec![Int(2)]))])),
        (b"%0\r\n", Map(vec![])),
        (b">2\r\n+message\r\n$1\r\nm\r\n", Push(vec![Simple(b"message"), Bulk(b"m")])),
        (b"|1\r\n+ttl\r\n:3\r\n$1\r\nv\r\n", Bulk(b"v")),
        (b"*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n", Array(vec![Int(1), Int(2)])),
    ]
}

/// What no server may send.
const HOSTILE: &[&[u8]] = &[
    b"HTTP/1.1 400 Bad Request\r\n",
    b"\r\n",
    b"\0\0\0\0",
    b"$x\r\n",
    b"$-2\r\n",
    b"$+1\r\na\r\n",
    b"$1\r\nab\r\n",
    b"$1\nab\r\n",
    b"$99999999999999999999\r\n",
    b"$4294967296\r\n",
    b"*99999999999999999999\r\n",
    b"*-7\r\n",
    b"!-1\r\n",
    b"=-1\r\n",
    b"%-1\r\n",
    b"*?\r\n",
    b"$?\r\n",
    b":12a\r\n",
    b":\r\n",
    b":99999999999999999999\r\n",
    b"#x\r\n",
    b"#\r\n",
    b"_x\r\n",
    b",\r\n",
    b",1,5\r\n",
    b"(\r\n",
    b"(1x\r\n",
    b"=3\r\ntxt\r\n",
    b"=4\r\ntext\r\n",
    b"+a\nb\r\n",
    b"+a\rb\r\n",
    b"*1\r\nx\r\n",
];

/// Feeds `stream` in pieces and parses what comes out.
fn read_all(pieces: &[&[u8]]) -> Result<Vec<Value>> {
    let mut buffer = ReadBuffer::default();
    let mut values = Vec::new();
    for piece in pieces {
        buffer.space().extend_from_slice(piece);
        buffer.filled();
        while let Some(frame) = buffer.next_frame()? {
            values.push(parse(frame)?.to_value());
        }
    }
    Ok(values)
}

#[test]
fn every_type_is_parsed() {
    for (bytes, reply) in samples() {
        assert_eq!(FrameScanner::default().scan(bytes).unwrap(), Some(bytes.len()), "{reply:?}");
        assert_eq!(parse(bytes).unwrap(), reply);
    }
}

#[test]
fn a_stream_cut_at_any_byte_gives_the_same_values() {
    let stream: Vec<u8> = samples().iter().flat_map(|(bytes, _)| bytes.to_vec()).collect();
    let wanted: Vec<Value> = samples().iter().map(|(_, reply)| reply.to_value()).collect();
    for cut in 0..=stream.len() {
        assert_eq!(read_all(&[&stream[..cut], &stream[cut..]]).unwrap(), wanted, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(read_all(&bytes).unwrap(), wanted);
}

#[test]
fn a_frame_is_not_complete_before_its_last_byte() {
    for (bytes, _) in samples() {
        for length in 0..bytes.len() {
            assert_eq!(FrameScanner::default().scan(&bytes[..length]).unwrap(), None);
            assert_eq!(parse(&bytes[..length]).unwrap_err().code(), ErrorCode::ProtocolViolation);
        }
    }
}

#[test]
fn hostile_input_is_a_protocol_violation() {
    for bytes in HOSTILE {
        let error = read_all(&[bytes]).expect_err(&String::from_utf8_lossy(bytes));
        assert_eq!(error.code(), ErrorCode::ProtocolViolation);
        assert_eq!(parse(bytes).unwrap_err().code(), ErrorCode::ProtocolViolation);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read_all(&single).unwrap_err().code(), ErrorCode::ProtocolViolation);
    }
}

#[test]
fn a_peer_that_speaks_something_else_is_noticed_at_its_first_byte() {
    assert!(FrameScanner::default().scan(b"H").is_err());
    assert!(FrameScanner::default().scan(&[b'$'; 40]).is_err());
    assert!(FrameScanner::default().scan(&vec![b'+'; 2 * 1024 * 1024]).is_err());
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
    assert_eq!(read_all(&[&nested(MAX_DEPTH)]).unwrap().len(), 1);
    assert!(FrameScanner::default().scan(&nested(MAX_DEPTH + 1)).is_err());
    assert!(parse(&nested(MAX_DEPTH + 1)).is_err());
    assert!(parse(&b"|0\r\n".repeat(1_000_000)).is_err());
}

#[test]
fn a_wrong_count_allocates_no_more_than_the_frame_deserves() {
    assert!(parse(b"*2000000000\r\n:1\r\n").is_err());
    assert!(parse(b"%1000000000\r\n:1\r\n").is_err());
    assert_eq!(FrameScanner::default().scan(b"*2000000000\r\n:1\r\n").unwrap(), None);
}

#[test]
fn random_bytes_never_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    let alphabet = b"+-:$*_,#!=(%~>|0123456789tfx\r\n\r\n\r\n";
    for _ in 0..50_000 {
        let bytes: Vec<u8> = (0..random.usize(1..40)).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
        let whole = read_all(&[&bytes]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let pieces = read_all(&single);
        assert_eq!(whole.ok(), pieces.ok(), "{:?}", String::from_utf8_lossy(&bytes));
        let _ = parse(&bytes);
    }
}

/// A big frame in small pieces used to be the classic quadratic case: each read looked at everything again.
#[test]
fn a_big_frame_in_small_pieces_takes_linear_time() {
    let mut frame = b"*200000\r\n".to_vec();
    frame.extend(b"$10\r\n0123456789\r\n".repeat(200_000));
    let mut scanner = FrameScanner::default();
    let started = std::time::Instant::now();
    for end in (0..frame.len()).step_by(64) {
        assert_eq!(scanner.scan(&frame[..end]).unwrap(), None);
    }
    assert_eq!(scanner.scan(&frame).unwrap(), Some(frame.len()));
    // Quadratic, these 50,000 calls over 3.4 MB would take minutes.
    assert!(started.elapsed().as_secs() < 5);
}
