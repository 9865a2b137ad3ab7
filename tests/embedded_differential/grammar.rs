//! Random commands from templates.
//!
//! A template is words: `$x` draws a value, `a|b` one of several, `?word` comes half of the time, `word+` one to three
//! times, and `_` joins what belongs together (`?EX_$e`). A command behind `!` would wait, and stands in a transaction;
//! one behind `=` is never made wrong, which might make it wait, or draw by chance.

use fastrand::Rng;

/// A command as arguments.
pub(crate) type Call = Vec<Vec<u8>>;

const TEMPLATES: &[&str] = &[
    // Strings
    "GET $s",
    "SET $s $v",
    "SET $s $v ?NX|XX ?GET",
    "SET $s $v ?GET EX_$e|PX_$E|KEEPTTL",
    "SETNX $s $v",
    "SETEX $s $e $v",
    "PSETEX $s $E $v",
    "GETSET $s $v",
    "GETDEL $s",
    "GETEX $s ?EX_$e|PERSIST|PX_$E",
    "APPEND $s $v",
    "STRLEN $s",
    "GETRANGE $s $i $i",
    "SUBSTR $s $i $i",
    "SETRANGE $s $p $v",
    "MGET $s $k $s",
    "MSET $s_$v+",
    "MSETNX $s_$v+",
    "INCR $s",
    "DECR $s",
    "INCRBY $s $n",
    "DECRBY $s $n",
    "INCRBYFLOAT $u $d",
    "GET $u",
    "SETBIT $s $p 0|1",
    "GETBIT $s $p",
    "BITCOUNT $s",
    "BITCOUNT $s $i $i ?BYTE|BIT",
    "BITPOS $s 0|1",
    "BITPOS $s 0|1 $i ?$i",
    "BITPOS $s 0|1 $i $i BIT|BYTE",
    "BITOP AND|OR|XOR $s $s+",
    "BITOP NOT|AND $s $s",
    "BITFIELD $s GET $T $O",
    "BITFIELD $s ?OVERFLOW_WRAP|OVERFLOW_SAT|OVERFLOW_FAIL SET|INCRBY $T $O $n GET $T $O",
    "BITFIELD $s INCRBY $T $O $n OVERFLOW FAIL INCRBY $T $O $n",
    "BITFIELD_RO $s GET $T $O ?SET_u8_0_1",
    "LCS $s $s ?LEN ?IDX ?MINMATCHLEN_$i ?WITHMATCHLEN",
    // Keys
    "DEL $k+",
    "UNLINK $k+",
    "EXISTS $k+",
    "TOUCH $k+",
    "TYPE $k",
    "RENAME $k $k",
    "RENAMENX $k $k",
    "COPY $k $k ?REPLACE",
    "COPY $k $k DB_1 ?REPLACE",
    "MOVE $k 1",
    "KEYS *",
    "KEYS $g",
    "DBSIZE",
    "SCAN 0 COUNT_1000 ?MATCH_$g ?TYPE_$y",
    "EXPIRE $k $e ?NX|XX|GT|LT",
    "PEXPIRE $k $E ?NX|XX|GT|LT",
    "EXPIREAT $k $a ?NX|XX",
    "PEXPIREAT $k $A",
    "EXPIRE $k -1",
    "PERSIST $k",
    "TTL $k",
    "PTTL $k",
    "EXPIRETIME $k",
    "PEXPIRETIME $k",
    "OBJECT IDLETIME nokey",
    "FLUSHDB",
    "SWAPDB 0|1 0|1|2",
    "OBJECT FOO $k",
    "SELECT 0|0|1",
    // Lists
    "LPUSH $l $v+",
    "RPUSH $l $v+",
    "RPUSH $l $v+",
    "LPUSHX $l $v",
    "RPUSHX $l $v",
    "LPOP $l ?$i",
    "RPOP $l ?$i",
    "LLEN $l",
    "LINDEX $l $i",
    "LSET $l $i $v",
    "LRANGE $l $i $i",
    "LRANGE $l 0 -1",
    "LTRIM $l $i $i",
    "LREM $l $i $v",
    "LINSERT $l BEFORE|AFTER $v $v",
    "LPOS $l $v ?RANK_$i ?COUNT_$i ?MAXLEN_$i",
    "LMOVE $l $l LEFT|RIGHT LEFT|RIGHT",
    "RPOPLPUSH $l $l",
    "LMPOP 1|2 $l $l LEFT|RIGHT ?COUNT_$i",
    "LMPOP 1 $l LEFT|RIGHT",
    "!BLPOP $l $l 0",
    "!BRPOP $l 0.1",
    "!BLMOVE $l $l LEFT RIGHT 0",
    "!BRPOPLPUSH $l $l 0",
    "!BLMPOP 0 1 $l LEFT",
    "=BLPOP $l -1|abc",
    // Hashes
    "HSET $h $f_$v+",
    "HSET $h $f_$v+",
    "HMSET $h $f_$v+",
    "HSETNX $h $f $v",
    "HGET $h $f",
    "HMGET $h $f+",
    "HGETALL $h",
    "HDEL $h $f+",
    "HLEN $h",
    "HEXISTS $h $f",
    "HKEYS $h",
    "HVALS $h",
    "HSTRLEN $h $f",
    "HINCRBY $h $f $n",
    "HINCRBYFLOAT $h u1|u2 $d",
    "HSCAN $h 0 COUNT_1000 ?MATCH_$g",
    "HRANDFIELD $h ?-3|3|1000",
    // Sets
    "SADD $t $v+",
    "SADD $t $v+",
    "SREM $t $v+",
    "SISMEMBER $t $v",
    "SMISMEMBER $t $v+",
    "SMEMBERS $t",
    "SCARD $t",
    "=SPOP $t 1000",
    "SRANDMEMBER $t ?-3|3|1000",
    "SMOVE $t $t $v",
    "SINTER $t+",
    "SUNION $t+",
    "SDIFF $t+",
    "SINTERSTORE $t $t+",
    "SUNIONSTORE $t $t+",
    "SDIFFSTORE $t $t+",
    "SINTERCARD 1|2 $t $t ?LIMIT_$i",
    "SSCAN $t 0 COUNT_1000 ?MATCH_$g",
    // Sorted sets
    "ZADD $z $d_$m+",
    "ZADD $z $d_$m+",
    "ZADD $z ?NX|XX ?GT|LT ?CH $d_$m+",
    "ZADD $z INCR $d $m",
    "ZINCRBY $z $d $m",
    "ZREM $z $m+",
    "ZSCORE $z $m",
    "ZMSCORE $z $m+",
    "ZCARD $z",
    "=ZRANK $z $m",
    "=ZREVRANK $z $m",
    "ZCOUNT $z $b $b",
    "ZLEXCOUNT $w $B $B",
    "ZRANGE $z $i $i ?REV ?WITHSCORES",
    "ZRANGE $z $b $b BYSCORE ?REV ?LIMIT_$i_$i ?WITHSCORES",
    "ZRANGE $w $B $B BYLEX ?REV ?LIMIT_$i_$i",
    "ZREVRANGE $z $i $i ?WITHSCORES",
    "ZRANGEBYSCORE $z $b $b ?WITHSCORES ?LIMIT_$i_$i",
    "ZREVRANGEBYSCORE $z $b $b ?WITHSCORES ?LIMIT_$i_$i",
    "=ZADD $w 0_$m+",
    "=ZADD $w 0_$m+",
    "ZRANGEBYLEX $w $B $B ?LIMIT_$i_$i",
    "ZREVRANGEBYLEX $w $B $B ?LIMIT_$i_$i",
    "ZRANGESTORE $z $z $i $i ?REV",
    "ZRANGESTORE $z $z $b $b BYSCORE",
    "ZREMRANGEBYRANK $z $i $i",
    "ZREMRANGEBYSCORE $z $b $b",
    "ZREMRANGEBYLEX $w $B $B",
    "ZPOPMIN $z ?$i",
    "ZPOPMAX $z ?$i",
    "!BZPOPMIN $z $z 0",
    "!BZMPOP 0 1 $z MIN",
    "=BZPOPMAX $z -1|x",
    "ZMPOP 1|2 $z $z MIN|MAX ?COUNT_$i",
    "ZUNION 2 $z $z|$t ?WEIGHTS_$d_$d ?AGGREGATE_SUM|AGGREGATE_MIN|AGGREGATE_MAX ?WITHSCORES",
    "ZINTER 2 $z $z|$t ?WEIGHTS_$d_$d ?AGGREGATE_MIN ?WITHSCORES",
    "ZDIFF 2 $z $z ?WITHSCORES",
    "ZUNIONSTORE $z 2 $z $z ?WEIGHTS_$d_$d",
    "ZINTERSTORE $z 2 $z $z ?AGGREGATE_MAX",
    "ZDIFFSTORE $z 2 $z $z",
    "ZINTERCARD 2 $z $z ?LIMIT_$i",
    "ZSCAN $z 0 COUNT_1000",
    "ZRANDMEMBER $z ?3|-3|1000",
    // Sorting
    "SORT $l|$z|$t ALPHA ?DESC ?LIMIT_$i_$i",
    "SORT $l|$t|$z ?DESC ?STORE_$l",
    "SORT $t ALPHA GET # GET s*",
    "SORT $l BY h*->f1 GET h*->f2",
    "SORT $l BY nosort ?DESC",
    // Streams
    "XADD $x $D $f_$v+",
    "XADD $x $D $f_$v+",
    "XADD $x ?NOMKSTREAM ?MAXLEN_$i|MINID_$D $D $f_$v+",
    "XLEN $x",
    "XRANGE $x - + ?COUNT_$i",
    "XRANGE $x $R $R ?COUNT_$i",
    "XREVRANGE $x + - ?COUNT_$i",
    "XREVRANGE $x $R $R",
    "XDEL $x $D+",
    "XTRIM $x MAXLEN|MINID ?= $p",
    "XREAD ?COUNT_$i STREAMS $x $x $D $D",
    "=XREAD BLOCK -1|x STREAMS $x $D",
    "!XREAD ?BLOCK_0 STREAMS $x $|$D",
    "XSETID $x $D ?ENTRIESADDED_$p",
    "XGROUP CREATE $x $o $D|0|$ ?MKSTREAM ?ENTRIESREAD_$p",
    "XGROUP CREATE $x $o 0 MKSTREAM",
    "XGROUP SETID $x $o $D|0|$ ?ENTRIESREAD_$p",
    "XGROUP CREATECONSUMER $x $o $c",
    "XGROUP DELCONSUMER $x $o $c",
    "XGROUP DESTROY $x $o",
    "XREADGROUP GROUP $o $c ?COUNT_$p ?NOACK STREAMS $x >|$D",
    "XREADGROUP GROUP $o $c COUNT 2 STREAMS $x >",
    "XREADGROUP GROUP $o $c STREAMS $x $x > >|0",
    "!XREADGROUP GROUP $o $c BLOCK 0 STREAMS $x >",
    "=XREADGROUP GROUP $o $c BLOCK -1|x STREAMS $x >",
    "XACK $x $o $D+",
    "XPENDING $x $o",
    "XPENDING $x $o $R $R $p ?$c",
    "XPENDING $x $o IDLE 0|1000000 - + $p ?$c",
    "XCLAIM $x $o $c 0|1000000 $D+ ?IDLE_0|IDLE_5000000|TIME_1 ?RETRYCOUNT_$i ?FORCE ?JUSTID ?LASTID_$D",
    "XAUTOCLAIM $x $o $c 0|1000000 $R ?COUNT_$p ?JUSTID",
    "XINFO STREAM $x",
    "XINFO STREAM $x FULL ?COUNT_$i",
    "XINFO GROUPS $x",
    "XINFO CONSUMERS $x $o",
    // HyperLogLog
    "PFADD $q $v+",
    "PFADD $q $v+",
    "PFADD $q",
    "PFCOUNT $q+",
    "PFMERGE $q $q+",
    // Transactions and others
    "MULTI",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH $k",
    "UNWATCH",
    "PING",
    "PING $v",
    "ECHO $v",
    "PUBLISH c $v",
    "TIME",
    "TIME x",
    "WAIT 0 0",
    "CONFIG GET maxmemory-policy",
    "CONFIG SET maxmemory-policy nosuch|noeviction|volatile-ttl|allkeys-lru",
    "CONFIG SET maxmemory abc|1gb|0|100mb ?maxmemory_0",
    "CONFIG SET databases|nosuch 3",
    "CLIENT GETNAME",
    "CLIENT NOSUCH",
    "NOSUCH $v $v",
    "COMMAND NOSUCH",
    "AUTH $v",
    "AUTH default|nobody $v",
    "RANDOMKEY",
    "FLUSHALL ?SYNC|ASYNC",
    "OBJECT ENCODING|REFCOUNT|FREQ $k",
    "SORT_RO $l|$z|$t ALPHA ?DESC",
    // Places
    "GEOADD $j $X $Y $m",
    "GEOADD $j $X $Y $m $X $Y $m",
    "GEOADD $j ?NX|XX ?CH $X $Y $m",
    "GEODIST $j $m $m ?$U",
    "GEOHASH $j $m+",
    "GEOPOS $j $m+",
    "GEOSEARCH $j FROMMEMBER $m BYRADIUS $r $U ?ASC|DESC ?WITHCOORD ?WITHDIST ?WITHHASH",
    "GEOSEARCH $j FROMLONLAT $X $Y BYBOX $r $r $U ?ASC|DESC ?WITHDIST",
    "GEOSEARCH $j FROMLONLAT $X $Y BYRADIUS $r $U COUNT $p ?ANY ?DESC",
    "GEOSEARCH $j ?FROMMEMBER_a FROMLONLAT $X $Y ?BYRADIUS_1_m BYBOX $r $r $U",
    "GEOSEARCHSTORE $j $j FROMMEMBER $m BYRADIUS $r $U ?COUNT_2 ?WITHDIST",
    "GEOSEARCHSTORE $j $j FROMLONLAT $X $Y BYBOX $r $r $U",
    "GEORADIUS $j $X $Y $r $U ?WITHDIST ?COUNT_2 ?ASC|DESC",
    "GEORADIUS $j $X $Y $r $U STORE $j",
    "GEORADIUS_RO $j $X $Y $r $U ?WITHHASH",
    "GEORADIUSBYMEMBER $j $m $r $U ?WITHCOORD ?STORE_j1",
    "GEORADIUSBYMEMBER_RO $j $m $r $U ?ASC",
    // Values as bytes
    "DUMP $k",
    "DUMP $K",
    "RESTORE $K 0|$E $P ?REPLACE ?IDLETIME_$p ?FREQ_$i",
    // Without its last word, the time would be one from now.
    "=RESTORE $K $A $P ?REPLACE ABSTTL",
    "EXISTS $K $K",
    // Clients
    "CLIENT ID|INFO|LIST",
    "CLIENT SETNAME $v",
    "=CLIENT KILL ID 999999999|x|-1",
    "=CLIENT KILL TYPE replica|nosuch",
    "=CLIENT KILL USER nobody",
    "=CLIENT KILL 1.2.3.4:5",
    "=CLIENT KILL ADDR 1.2.3.4:5 ?SKIPME_yes|SKIPME_maybe",
    "CLIENT UNBLOCK 999999999 ?TIMEOUT|ERROR",
    "CLIENT NO-EVICT on|off|maybe",
    "CLIENT TRACKINGINFO",
    "CLIENT GETREDIR",
    // The server
    "INFO ?server|clients|memory|stats|keyspace",
    "LASTSAVE",
    "CONFIG RESETSTAT",
    "CONFIG SET slowlog-log-slower-than|slowlog-max-len|tracking-table-max-keys -2|x|1000000|128",
    "=CONFIG SET notify-keyspace-events q|KEAq",
    "MEMORY USAGE $k ?SAMPLES_$i",
    "SLOWLOG GET ?$i",
    "SLOWLOG LEN",
    "SLOWLOG RESET",
    "PUBSUB CHANNELS|SHARDCHANNELS ?$g",
    "PUBSUB NUMSUB|SHARDNUMSUB ?$v",
    "PUBSUB NUMPAT",
    "SPUBLISH c $v",
    "COMMAND COUNT|LIST",
    "COMMAND INFO|DOCS get|nosuch",
    "=COMMAND GETKEYS GET $s",
    "=COMMAND GETKEYS MSET $s $v $s $v",
    "=COMMAND GETKEYS XREAD STREAMS $x $x 0 0",
    "=COMMAND GETKEYS ZUNION 2 $z $z",
    "=COMMAND GETKEYS PING|NOSUCH $v",
    // Scripts
    "=EVAL return{KEYS[1],ARGV[1]} 1 $k $v",
    "=EVAL_RO return(redis.call('exists',KEYS[1])) 1 $k",
    "=EVAL_RO return(redis.call('del',KEYS[1])) 1 $k",
    "EVALSHA_RO 0000000000000000000000000000000000000000 0",
    "SCRIPT LOAD return(1)|return(",
    "SCRIPT FLUSH ?SYNC|ASYNC|x",
    "SCRIPT KILL",
    "SCRIPT EXISTS 0000000000000000000000000000000000000000",
    "EVALSHA 0000000000000000000000000000000000000000 0",
];

/// A string, a number, a list, a set, a hash, a sorted set, a stream, and what is none.
const DUMPS: &[&[u8]] = &[
    b"\x00\x05\x68\x65\x6c\x6c\x6f\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a",
    b"\x00\xc1\x39\x30\x0a\x00\x9d\x94\xea\x27\x93\xfc\x08\xb9",
    b"\x12\x01\x02\x0f\x0f\x00\x00\x00\x03\x00\x81\x61\x02\x81\x62\x02\x03\x01\xff\x0a\x00\xdc\xa1\xe6\x7d\x50\x05\x50\x48",
    b"\x0b\x0e\x02\x00\x00\x00\x03\x00\x00\x00\x01\x00\x02\x00\x03\x00\x0a\x00\xa5\x02\x5c\xe2\x6d\x6e\x4d\x1b",
    b"\x10\x12\x12\x00\x00\x00\x04\x00\x81\x66\x02\x81\x76\x02\x81\x67\x02\x01\x01\xff\x0a\x00\x23\xc1\xa5\xe3\x5d\xfa\xe8\x1c",
    b"\x11\x14\x14\x00\x00\x00\x04\x00\x81\x61\x02\x01\x01\x81\x62\x02\x83\x32\x2e\x35\x04\xff\x0a\x00\xd4\x4c\x6e\xa4\xf6\x44\xd9\xd7",
    b"\x13\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x1d\x1d\x00\x00\x00\x0a\x00\x01\x01\x00\x01\x01\x01\x81\x66\x02\x00\x01\x02\x01\x00\x01\x00\x01\x81\x76\x02\x04\x01\xff\x01\x01\x01\x01\x01\x00\x00\x01\x00\x0a\x00\xff\x55\xab\x62\x6a\xc0\x35\xdb",
    b"\x00\x05\x68\x65\x6c\x6c\x6f\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0b",
    b"short",
];

/// Whether a command, as `config get`, is drawn by some template.
pub(crate) fn has_template(name: &str) -> bool {
    TEMPLATES.iter().any(|template| {
        let words: Vec<&str> = template.trim_start_matches(['!', '=']).split(' ').collect();
        let wanted: Vec<&str> = name.split(' ').collect();
        wanted.len() <= words.len()
            && wanted
                .iter()
                .zip(words)
                .all(|(wanted, word)| word.split('|').any(|word| word.eq_ignore_ascii_case(wanted)))
    })
}

/// A random command; now and then a wrong one, or one that a script makes. One that would wait stands in a transaction,
/// and must not be taken out of it.
pub(crate) fn step(random: &mut Rng) -> Vec<Call> {
    let template = TEMPLATES[random.usize(..TEMPLATES.len())];
    match template.strip_prefix('!') {
        Some(waiting) => vec![vec![b"MULTI".to_vec()], well_formed(random, waiting), vec![b"EXEC".to_vec()]],
        None => vec![call(random, template)],
    }
}

fn call(random: &mut Rng, template: &str) -> Call {
    let exact = template.strip_prefix('=');
    let mut call = well_formed(random, exact.unwrap_or(template));
    if exact.is_none() && random.u8(..10) == 0 {
        spoil(random, &mut call);
    }
    if random.u8(..12) == 0 && !call.is_empty() && !is_word(&call[0], &["MULTI", "EXEC", "DISCARD", "TIME"]) {
        let script = if random.bool() { "return redis.call(unpack(ARGV))" } else { "return redis.pcall(unpack(ARGV))" };
        let mut wrapped: Call = vec![b"EVAL".to_vec(), script.into(), b"0".to_vec()];
        wrapped.append(&mut call);
        return wrapped;
    }
    call
}

pub(crate) fn is_word(arg: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| arg.eq_ignore_ascii_case(word.as_bytes()))
}

fn well_formed(random: &mut Rng, template: &str) -> Call {
    let mut call = Call::new();
    for word in template.split(' ') {
        expand(random, word, &mut call);
    }
    call
}

fn expand(random: &mut Rng, word: &str, into: &mut Call) {
    if let Some(word) = word.strip_prefix('?') {
        if random.bool() {
            expand(random, word, into);
        }
        return;
    }
    let word = if word == "|" { word } else { *pick(random, &word.split('|').collect::<Vec<_>>()) };
    let (word, times) = match word.strip_suffix('+') {
        Some(word) if !word.is_empty() => (word, random.usize(1..=3)),
        _ => (word, 1),
    };
    for _ in 0..times {
        for part in word.split('_') {
            into.push(match part.strip_prefix('$') {
                Some(kind) if !kind.is_empty() => draw(random, kind),
                _ => part.as_bytes().to_vec(),
            });
        }
    }
}

fn pick<'a, T>(random: &mut Rng, items: &'a [T]) -> &'a T {
    &items[random.usize(..items.len())]
}

fn words(random: &mut Rng, words: &str) -> Vec<u8> {
    pick(random, &words.split(' ').collect::<Vec<_>>()).as_bytes().to_vec()
}

fn draw(random: &mut Rng, kind: &str) -> Vec<u8> {
    match kind {
        "k" => words(random, "s1 s2 s3 l1 l2 h1 h2 t1 t2 t3 z1 z2 z3 x1 x2"),
        // Members of one score: only these have an order that can be asked for. Of another type are only counters, which
        // nothing turns into a sorted set.
        "w" if random.u8(..25) > 0 => format!("w{}", random.u8(1..=3)).into_bytes(),
        "w" => b"q1".to_vec(),
        // Counters, whose bytes differ. Floats have 64 bits of precision in Redis.
        "q" | "u" => {
            if random.u8(..25) == 0 {
                b"l1".to_vec()
            } else {
                format!("{kind}{}", random.u8(1..=3)).into_bytes()
            }
        }
        // A key that mostly holds its own type.
        "s" | "l" | "h" | "t" | "z" | "x" => {
            if random.u8(..25) == 0 {
                draw(random, "k")
            } else {
                format!("{kind}{}", random.u8(1..=3)).into_bytes()
            }
        }
        "v" => match random.u8(..12) {
            0 => vec![b'v'; random.usize(60..80)],
            1 => b"\xff\x00\r\n binary".to_vec(),
            2 => Vec::new(),
            _ => words(random, "0 1 2 3 7 -5 10 a b c d hello 3.5 9223372036854775807 foo bar"),
        },
        "T" => words(random, "u1 u4 u8 u16 u63 i1 i5 i8 i16 i32 i64 u64 i0 x8"),
        "O" => words(random, "0 1 3 7 8 13 #0 #1 #3 100 -1"),
        // Keys of places, and what says where: also what is none.
        "j" if random.u8(..25) > 0 => format!("j{}", random.u8(1..=3)).into_bytes(),
        "j" => b"l1".to_vec(),
        "X" => words(random, "13.361389 15.087269 13.5 2.349 -0.1278 -70.5 120 0 13.37 181"),
        "Y" => words(random, "38.115556 37.502669 38 48.8566 51.5 0 10.25 38.12 86"),
        "r" => words(random, "0 1 5 100 200 1500 20000 -1 1e3"),
        "U" => words(random, "m km ft mi m km parsec"),
        // Keys of any type, and values as Redis 7.0 dumps them.
        "K" => words(random, "r1 r2 r3"),
        "P" => pick(random, DUMPS).to_vec(),
        "o" => words(random, "g1 g1 g1 g2"),
        "c" => words(random, "c1 c1 c2 c3"),
        "f" => words(random, "f1 f2 f3 f4 f5 n1 n2"),
        "m" => words(random, "a b c d e f g aa ab member-with-a-name 1 2 3"),
        "n" => words(random, "0 1 -1 5 100 -7 9223372036854775807 -9223372036854775808 abc"),
        "d" => words(random, "0 1 2 3 -1 2.5 0.25 -3.75 10 100 inf -inf 1e3"),
        "i" => words(random, "0 1 2 3 5 -1 -2 -3 -5 100 -100"),
        "p" => words(random, "0 1 2 3 7 10 50 -1"),
        // Never the same twice, so that it does not matter which engine is a millisecond ahead.
        "e" => random.u32(1000..1_000_000).to_string().into_bytes(),
        "E" => random.u32(1_000_000..1_000_000_000).to_string().into_bytes(),
        "a" => words(random, "4000000000 5000000000 1"),
        "A" => words(random, "4000000000000 5000000000000 1"),
        "b" => words(random, "0 1 2 (1 (2 -inf +inf (-inf inf 3 -1 2.5"),
        "B" => words(random, "- + [a (a [c (c [f (aa [z"),
        "g" => words(random, "* s* ?1 [sl]1 a* f[0-9] \\a"),
        "y" => words(random, "string list hash set zset stream none"),
        "D" => words(random, "1-1 2-1 2-2 3 5-* 7-3 8-0 9-9 0-0 0-1 10-1 11-2 12-1 20-* 30 1700000000000-0"),
        "R" => words(random, "- + 1 2-1 (2-1 5 (5 9-9 8 (1"),
        other => panic!("no such value: {other}"),
    }
}

/// Makes a command wrong, or at least odd.
fn spoil(random: &mut Rng, call: &mut Call) {
    let junk = ["", "abc", "9223372036854775808", "-1", "nan", "1.5", "COUNT", "  1", "(", "[", "inf", "\u{e4}"];
    let at = random.usize(1..=call.len());
    match random.u8(..4) {
        0 if at < call.len() => {
            call.remove(at);
        }
        1 => call.insert(at, pick(random, &junk).as_bytes().to_vec()),
        2 if at < call.len() => call[at] = pick(random, &junk).as_bytes().to_vec(),
        _ => call.truncate(at),
    }
}
